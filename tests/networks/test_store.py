"""A generator on disk."""

import json
import os

import jax
import numpy as np
import pytest
import safetensors.numpy

from sg3x.files.fingerprint import hash_tree
from sg3x.networks import DiscriminatorConfig, Generator, GeneratorConfig, definition
from sg3x.networks.store import load_generator, load_networks, save_generator

CONFIG = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)


@pytest.fixture()
def saved(tmp_path):
    generator = Generator(CONFIG, key=jax.random.key(0))
    save_generator(tmp_path / "model", generator, {"nimg": 5})
    return generator, tmp_path / "model"


def test_the_same_pictures_and_configuration_come_back(saved):
    generator, folder = saved
    loaded = load_generator(folder)
    assert loaded.config == CONFIG
    z = np.random.RandomState(0).randn(2, 4)
    np.testing.assert_array_equal(loaded(z), generator(z))


def test_bytes_are_deterministic(saved, tmp_path):
    generator, folder = saved
    save_generator(tmp_path / "again", generator, {"nimg": 5})
    assert hash_tree(folder) == hash_tree(tmp_path / "again")


def test_a_missing_model_says_what_to_type(tmp_path):
    with pytest.raises(ValueError, match="dvc pull export"):
        load_generator(tmp_path)


def test_a_damaged_file_is_one_error(saved):
    _, folder = saved
    (folder / "generator.safetensors").write_bytes(b"\x80\x04not safetensors")
    with pytest.raises(ValueError, match="is damaged: generator.safetensors"):
        load_generator(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no network: config.json has no key 'generator'"):
        load_generator(folder)


def test_weights_of_another_configuration_are_named(saved):
    _, folder = saved
    text = (folder / "config.json").read_text().replace('"w_dim": 4', '"w_dim": 8')
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"(?s)do not fit.*mapping\.fc0\.weight"):
        load_generator(folder)


HOSTILE = {
    "num_layers": 10**5, "mapping_layers": 10**9, "num_fp16_res": 10**9, "lrelu_upsampling": 10**6, "filter_size": 10**5,
    "conv_kernel": 0, "margin_size": -1, "channel_base": "x", "channel_max": None, "z_dim": True, "w_dim": 4.0,
    "first_cutoff": 0, "first_stopband": 1e308, "last_stopband_rel": float("nan"), "output_scale": [1], "conv_clamp": {},
    "channels": [4, "4"], "use_radial_filters": 1, "activation_dtype": ["float32"], "img_resolution": 10**400,
    "num_critical": 10**30, "img_channels": 0, "no_such_key": 1,
}  # fmt: skip


@pytest.mark.parametrize("key", HOSTILE)
def test_a_configuration_out_of_its_limits_is_one_error_that_names_file_and_key(tmp_path, key):
    values = CONFIG.to_dict() | {key: HOSTILE[key]}
    (tmp_path / "config.json").write_text(json.dumps({"generator": values}))
    with pytest.raises(ValueError, match=rf"config\.json: generator: .*{key}") as error:
        load_generator(tmp_path)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    "text",
    ["null", "[]", "3", '"generator"', "[" * 100_000, '{"generator": 3}', '{"generator": {}}', "\x00", "9" * 5000],
)
def test_what_is_no_configuration_is_one_error(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match="holds no network"):
        load_generator(tmp_path)


def test_special_and_large_files_in_place_of_a_configuration_are_refused(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ValueError, match="must be a file of at most"):
        load_generator(tmp_path)


DISCRIMINATORS = {
    "mbstd_num_channels": 0,
    "mapping_layers": 10**9,
    "cmap_dim": 0,
    "channel_base": 1,
    "img_resolution": 12,
}


@pytest.mark.parametrize("key", DISCRIMINATORS)
def test_discriminators_have_limits_too(key):
    with pytest.raises(ValueError, match=key):
        DiscriminatorConfig.from_dict({"img_resolution": 16, key: DISCRIMINATORS[key]})


def stored(folder, dtype=np.float32, transform=None):
    """A network of ones, written without JAX."""
    arrays = {name: np.ones(x.shape, dtype) for name, x in definition(Generator, CONFIG)[1].items()}
    (folder / "generator.safetensors").write_bytes(safetensors.numpy.save(arrays))
    about = {"source": "a\x1b[2J\u202eb", "x": [{"\x07": "\x9b"}]}
    config = {"generator": CONFIG.to_dict(), "about": about, "transform": transform}
    (folder / "config.json").write_text(json.dumps(config))


def test_weights_of_another_type_are_refused(tmp_path):
    stored(tmp_path, np.float16)
    with pytest.raises(ValueError, match=r"(?s)mapping.fc0.bias is float16, expected float32"):
        load_generator(tmp_path)


def test_text_about_a_model_cannot_move_the_cursor(tmp_path):
    stored(tmp_path)
    about = load_networks(tmp_path).about
    assert about == {"source": r"a\x1b[2J\u202eb", "x": [{r"\x07": r"\x9b"}]}


@pytest.mark.parametrize("transform", [3, "x", [[1]], [[1, 0, 0], [0, 1, 0], [0, 0, None]], [[1e300] * 3] * 3, {}])
def test_a_transform_is_nine_finite_numbers(tmp_path, transform):
    stored(tmp_path, transform=transform)
    with pytest.raises(ValueError, match=r"config\.json: transform="):
        load_generator(tmp_path)
