"""The public API: names by attribute, signatures as documented, networks opened from wherever they are."""

import importlib.util
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sg3x
from sg3x.cli import app
from sg3x.networks import DiscriminatorConfig, Generator, GeneratorConfig, Transform, bind, definition
from sg3x.networks.store import save_generator
from sg3x.training.run.checkpoints import save_checkpoint
from sg3x.training.state import init_state

CONFIG = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)

SIGNATURES = {
    "ops.design_lowpass_filter": "(numtaps, cutoff, width, fs, radial=False)",
    "ops.upfirdn2d": "(x, f, up=1, down=1, padding=0, gain=1.0, flip_filter=False",
    "ops.filtered_lrelu": "(x, fu=None, fd=None, b=None, up=1, down=1, padding=0, gain=1.4142135623730951, "
    "slope=0.2, clamp=None, flip_filter=False",
    "networks.modulated_conv2d": "(x, w, s, demodulate=True, padding=0, input_gain=None",
    "networks.layer_schedule": "(config)",
    "interop.nvidia.load_pickle": "(path)",
    "interop.nvidia.generator_from_state_dict": "(state_dict, **init_kwargs)",
    "interop.nvidia.discriminator_from_state_dict": "(state_dict, **init_kwargs)",
    "training.augment_images": "(images, p, key, *, config, debug_percentile=None)",
    "metrics.frechet_distance": "(mu1, sigma1, mu2, sigma2)",
    "metrics.kernel_distance": "(real, fake, *",
    "metrics.precision_recall": "(real, fake, k=3)",
    "load_generator": "(path)",
    "load_discriminator": "(path)",
    "on_devices": "(generator, devices=None)",
}


def bare_signature(function):
    parameters = [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()]
    return str(inspect.Signature(parameters)).replace("'", "")


@pytest.mark.parametrize("name", SIGNATURES)
def test_names_are_attributes_with_the_documented_signatures(name):
    found = sg3x
    for part in name.split("."):
        found = getattr(found, part)
    assert bare_signature(found).startswith(SIGNATURES[name])


ROOT = Path(__file__).parents[1]
DOCS = {
    path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}


def named(pattern):
    """(page, match) of everything that the documentation names so."""
    return sorted({(page, found) for page, text in DOCS.items() for found in re.findall(pattern, text)})


@pytest.mark.parametrize(("page", "name"), named(r"(?<![\w./-])sg3x(?:\.[A-Za-z_]\w*)+(?![\w/])"))
def test_what_docs_name_is_there_after_import_sg3x(page, name):
    found = sg3x
    for part in name.split(".")[1:]:
        found = getattr(found, part)


def test_docs_do_name_something():
    assert {"sg3x.load_generator", "sg3x.metrics.equivariance"} <= {
        name for _, name in named(r"sg3x(?:\.[A-Za-z_]\w*)+")
    }


@pytest.mark.parametrize(("page", "line"), named(r"(?m)^ *((?:from sg3x|import sg3x)[\w., ]*(?:import [\w, ()]+)?)"))
def test_what_docs_import_can_be_imported(page, line):
    exec(line, {})


@pytest.mark.parametrize(("page", "module"), named(r"python3? -m ((?:sg3x|stages|benchmarks)[\w.]*)"))
def test_what_docs_run_is_there(page, module):
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize(("page", "command"), named(r"(?m)(?:^|`|\$ )sg3x ([a-z][a-z-]+)"))
def test_commands_of_the_docs_are_there(page, command):
    assert command in {entry.name or entry.callback.__name__.replace("_", "-") for entry in app.registered_commands}


def test_every_room_is_an_attribute():
    rooms = {path.parent.name for path in (ROOT / "sg3x").glob("*/__init__.py")} - {"commands"}
    assert set(sg3x._ROOMS) == rooms | {"loading"} and set(dir(sg3x)) >= rooms
    for room in sg3x._ROOMS:
        assert getattr(sg3x, room).__name__ == f"sg3x.{room}"


def test_the_version_and_the_types_are_there():
    assert re.fullmatch(r"\d+\.\d+\.\d+", sg3x.__version__) and "__version__" in dir(sg3x)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "sg3x.__version__"}
    assert project["tool"]["setuptools"]["package-data"]["sg3x"] == ["py.typed"]
    assert (ROOT / "sg3x" / "py.typed").is_file()


HEAVY = ("jax", "flax", "numpy", "scipy", "matplotlib", "PIL", "dvc", "torch")


@pytest.mark.parametrize("module", ["sg3x", "sg3x.cli"])
def test_importing_is_light(module):
    code = f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_importing_sg3x_alone_is_enough():
    code = "import sg3x; sg3x.interop.nvidia.load_pickle; sg3x.ops.upfirdn2d"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="load_generator"):
        sg3x.load_network  # noqa: B018


def test_a_generator_opens_from_a_directory_and_from_a_checkpoint(tmp_path):
    state = init_state(CONFIG, DiscriminatorConfig(16, channel_max=4), seed=3)
    meta = {"generator": CONFIG.to_dict(), "discriminator": DiscriminatorConfig(16, channel_max=4).to_dict(), "nimg": 0}
    save_checkpoint(tmp_path / "checkpoint", state, meta, [])
    save_generator(tmp_path / "exported", bind(definition(Generator, CONFIG), state["g_ema"], state["g_buffers"]))
    z = np.random.RandomState(0).randn(2, 4)
    pictures = [np.asarray(sg3x.load_generator(tmp_path / name)(z)) for name in ("checkpoint", "exported")]
    np.testing.assert_array_equal(*pictures)
    logits = sg3x.load_discriminator(tmp_path / "checkpoint")(pictures[0])
    assert logits.shape == (2, 1)
    with pytest.raises(ValueError, match="no discriminator"):
        sg3x.load_discriminator(tmp_path / "exported")


def test_a_place_without_a_network_is_named(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        sg3x.load_generator(tmp_path / "nothing")
    with pytest.raises(ValueError, match="holds no network"):
        sg3x.load_generator(tmp_path)


def test_a_users_transform_is_kept_on_disk(tmp_path):
    move = np.array([[0, -1, 0.1], [1, 0, 0.2], [0, 0, 1]])
    G = Generator(CONFIG, key=jax.random.key(0))
    G.synthesis.input.transform = Transform(jnp.asarray(move, jnp.float32))
    save_generator(tmp_path / "moved", G)
    loaded = sg3x.load_generator(tmp_path / "moved")
    ws = loaded.mapping(np.random.RandomState(0).randn(1, 4))
    np.testing.assert_array_equal(loaded.synthesis(ws), G.synthesis(ws, transform=move))
    assert float(np.abs(loaded.synthesis(ws) - G.synthesis(ws, transform=np.eye(3))).max()) > 1e-3


def test_augmentation_takes_a_preset_or_fields_by_name():
    images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3), minval=-1)
    key = jax.random.key(1)
    by_name = sg3x.training.augment_images(images, 1.0, key, config={"xflip": 1.0, "rotate90": 1.0, "xint": 1.0})
    np.testing.assert_array_equal(by_name, sg3x.training.augment_images(images, 1.0, key, config="blit"))
    with pytest.raises(ValueError, match="xflop"):
        sg3x.training.augment_images(images, 1.0, key, config={"xflop": 1.0})


def test_operators_take_plain_numpy_in_any_precision():
    rng = np.random.RandomState(0)
    x, f = rng.randn(2, 8, 9, 3), rng.randn(4)
    up = sg3x.ops.upfirdn2d(x, f, up=np.int64(2), padding=np.array([2, 1, 2, 1]))
    assert up.shape == (2, 16, 18, 3) and up.dtype == np.float32
    assert sg3x.ops.upfirdn2d(x, [[1.0, 2.0]], up=[2, 1], down=(1, 2)).shape == (2, 4, 17, 3)
    assert sg3x.ops.filtered_lrelu(x, f, f, rng.randn(3), up=2, down=2, padding=3).shape == (2, 8, 9, 3)
    w, s = rng.randn(3, 3, 3, 5), rng.randn(2, 3)
    assert sg3x.networks.modulated_conv2d(x, w, s, padding=2, input_gain=rng.rand(3)).shape == (2, 10, 11, 5)
