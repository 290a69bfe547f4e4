"""`sg3x import-nvidia`, `generate` and `info` on a real snapshot, as a user types them."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import sg3x
from sg3x.cli import app
from sg3x.files.fingerprint import hash_tree
from sg3x.files.yaml12 import parse_yaml
from sg3x.networks import flat
from sg3x.networks.store import load_networks, save_generator
from sg3x.render.seeds import seed_ws, to_uint8_truncated

GOLDEN = Path(__file__).parents[1] / "golden"
PICKLE = GOLDEN / "tiny_t32.pkl"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "100"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    out = tmp_path_factory.mktemp("import") / "imported"
    text = run("import-nvidia", PICKLE, out)
    assert "StyleGAN3-T, 32x32, unconditional" in text and "channel_max: 16" in text
    return out


def picture(path):
    return np.asarray(Image.open(path))


def test_an_import_holds_all_three_networks_as_deterministic_bytes(imported, tmp_path):
    stored = load_networks(imported)
    networks = sg3x.interop.nvidia.load_pickle(PICKLE)
    pairs = [
        (stored.generator, networks.generator_ema),
        (stored.training_generator, networks.generator),
        (stored.discriminator, networks.discriminator),
    ]
    for mine, theirs in (map(flat, pair) for pair in pairs):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])
    assert stored.about["source"] == "tiny_t32.pkl"
    run("import-nvidia", PICKLE, tmp_path / "again")
    assert hash_tree(imported) == hash_tree(tmp_path / "again")


def test_pictures_are_byte_for_byte_the_references():
    g = np.load(GOLDEN / "tiny_t32.npz")
    mine = to_uint8_truncated(sg3x.load_generator(PICKLE)(g["z"]))
    difference = np.abs(mine.astype(int) - g["img_uint8"])
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_generate_draws_seeds_and_a_grid(imported, tmp_path):
    run("generate", imported, "--seeds", "0-2,7", "--trunc", 0.7, "--grid", "2x2", "--out", tmp_path / "s")
    assert {p.name for p in (tmp_path / "s").iterdir()} == {
        "seed0000.png", "seed0001.png", "seed0002.png", "seed0007.png", "grid.png",
    }  # fmt: skip
    G = sg3x.load_generator(imported)
    z = np.random.RandomState(7).randn(1, 16)
    expected = to_uint8_truncated(G(z, truncation_psi=0.7))[0]
    assert np.abs(picture(tmp_path / "s" / "seed0007.png").astype(int) - expected).max() <= 1
    assert picture(tmp_path / "s" / "grid.png").shape == (67, 67, 3)


def test_generate_moves_the_picture(imported, tmp_path):
    run("generate", imported, "--seeds", "3", "--translate", "0.25,0", "--out", tmp_path / "moved")
    run("generate", imported, "--seeds", "3", "--out", tmp_path / "still")
    moved, still = (picture(tmp_path / name / "seed0003.png").astype(int) for name in ("moved", "still"))
    right = np.abs(moved[:, 8:] - still[:, :-8]).mean()  # a quarter of 32 pixels to the right
    assert right < 0.35 * np.abs(moved - still).mean()


def test_style_mixing_takes_the_layers_named(imported, tmp_path):
    run("generate", imported, "--seeds", "0,1", "--mix", "5", "--styles", "0-15", "--out", tmp_path / "all")
    run("generate", imported, "--seeds", "0,1", "--mix", "5", "--styles", "4-6", "--out", tmp_path / "some")
    G = sg3x.load_generator(imported)
    own, style = np.array(seed_ws(G, [0])), seed_ws(G, [5])
    all_styles = picture(tmp_path / "all" / "0-5.png").astype(int)
    assert np.abs(all_styles - to_uint8_truncated(G.synthesis(style))[0]).max() <= 1
    own[:, 4:7] = style[:, 4:7]
    assert (
        np.abs(picture(tmp_path / "some" / "0-5.png").astype(int) - to_uint8_truncated(G.synthesis(own))[0]).max() <= 1
    )
    assert (tmp_path / "some" / "grid.png").exists()


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--seeds", "3-1"], "must rise"),
        (["--seeds", "a"], "neither a number nor a range"),
        (["--seeds", "1", "--class", "2"], "unconditional"),
        (["--seeds", "1", "--grid", "8"], "columns x rows"),
        (["--seeds", "1,2", "--grid", "2x2"], "shows 4 pictures, --seeds are 2"),
        (["--seeds", "1", "--trunc", "nan"], "trunc=nan"),
        (["--seeds", "1", "--translate", "1"], "two numbers"),
        (["--seeds", "1", "--mix", "2", "--styles", "40"], "layers lie in 0..15"),
        (["--seeds", "1", "--cutoff", "-2", "--trunc", "0.5"], "truncation_cutoff=-2"),
        (["--seeds", "1", "--mix", "2", "--grid", "1x1"], "--grid 1x1 with --mix"),
        (["--seeds", "1", "--styles", "0-6"], "--styles 0-6 without --mix"),
        (["--seeds", "1", "--cutoff", "4"], "--cutoff 4 without --trunc"),
        (["--seeds", "1", "--rotate", "inf"], "rotate=inf"),
        (["--seeds", "1", "--translate", "nan,0"], "two numbers"),
        (["--seeds", "1", "--batch", "0"], "batch=0"),
    ],
)
def test_generate_names_what_cannot_be(imported, tmp_path, arguments, named):
    assert named in run("generate", imported, *arguments, "--out", tmp_path / "x", code=1)


def test_info_shows_layers_and_totals_of_every_kind(imported):
    for path in (imported, PICKLE):
        text = run("info", path)
        assert "StyleGAN3-T, 32x32x3" in text and "L13 critical" in text and "L14 ToRGB" in text
        assert "33,016" in text and "18,297" in text  # the sums of all sizes in the golden states
        row = next(line for line in text.splitlines() if line.strip().startswith("L5 ")).split()
        assert row[:7] == ["L5", "52", "32", "4.76", "16", "4/2", "24/12"]
    assert "dataset32.zip" in text


def test_missing_and_hostile_files_are_one_line(tmp_path):
    assert "does not exist" in run("info", tmp_path / "nothing", code=1)
    (tmp_path / "bad.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    for command in (["info", tmp_path / "bad.pkl"], ["import-nvidia", tmp_path / "bad.pkl", tmp_path / "out"]):
        output = run(*command, code=1)
        assert "'os.system' is refused" in output and len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def a_thesis(place, imported):
    place.mkdir()
    (place / "thesis.txt").write_text("x")


def other_models(place, imported):
    for name in ("a", "b"):
        shutil.copytree(imported, place / name)


def a_network_and_more(place, imported):
    shutil.copytree(imported, place)
    (place / "notes.txt").write_text("x")


def a_repository(place, imported):
    (place / ".git").mkdir(parents=True)
    (place / ".git" / "HEAD").write_text("x")


def a_file(place, imported):
    place.write_text("x")


def a_network_of_another_command(place, imported):
    save_generator(place, sg3x.load_generator(imported), {"nimg": 1000})


TARGETS = {
    a_thesis: 0,
    other_models: 0,
    a_network_and_more: 0,
    a_repository: 0,
    a_file: 0,
    a_network_of_another_command: 1,
}


@pytest.mark.parametrize("fill, forced", TARGETS.items(), ids=[fill.__name__ for fill in TARGETS])
def test_import_replaces_only_what_it_wrote_and_by_force_a_network(imported, tmp_path, fill, forced):
    out = tmp_path / "target"
    fill(out, imported)
    before = hash_tree(tmp_path)
    said = run("import-nvidia", PICKLE, out, code=1)
    assert "target" in said and "nothing was replaced" in said and hash_tree(tmp_path) == before
    run("import-nvidia", PICKLE, out, "--force", code=0 if forced else 1)
    assert hash_tree(out if forced else tmp_path) == (hash_tree(imported) if forced else before)


def test_import_takes_an_empty_place_its_own_network_but_not_the_current_folder(imported, tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    for _ in range(2):
        run("import-nvidia", PICKLE, tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"] and hash_tree(tmp_path / "target") == hash_tree(
        imported
    )
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "is the current folder" in run("import-nvidia", PICKLE, ".", "--force", code=1)


class Painter:
    """Draws what it is told with: enough of a generator for the command, and nothing to compile."""

    z_dim, resolution = 4, 8

    def __init__(self, channels, transform=None):
        self.config = SimpleNamespace(img_channels=channels, c_dim=0, num_ws=3)
        self.channels, self.used = channels, []
        self.synthesis = Synthesis(self, transform)

    def mapping(self, z, *_, **__):
        return np.repeat(np.asarray(z)[:, None], 3, axis=1)


class Synthesis:
    """A painter's: notes the transform that counts."""

    def __init__(self, painter, stored):
        self.painter, self.input = painter, SimpleNamespace(transform=stored)

    def __call__(self, ws, transform=None):
        self.painter.used.append(self.input.transform if transform is None else transform)
        return np.full((len(ws), 8, 8, self.painter.channels), 0.5, np.float32)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pictures_have_the_networks_channels(monkeypatch, tmp_path, channels, mode):
    monkeypatch.setattr("sg3x.loading.load_generator", lambda _: Painter(channels))
    run("generate", "x", "--seeds", "0-3", "--grid", "2x2", "--out", tmp_path)
    run("generate", "x", "--seeds", "0", "--mix", "1", "--styles", "0", "--out", tmp_path / "mixed")
    for name in ("seed0000.png", "grid.png", "mixed/0-1.png", "mixed/grid.png"):
        with Image.open(tmp_path / name) as image:
            assert image.mode == mode, name
    assert picture(tmp_path / "seed0000.png").min() == 191


def test_networks_that_no_png_can_hold_are_refused_before_drawing(monkeypatch, tmp_path):
    monkeypatch.setattr("sg3x.loading.load_generator", lambda _: Painter(5))
    assert "draws 5 channels: PNG files have 1" in run("generate", "x", "--seeds", "0", "--out", tmp_path, code=1)


@pytest.mark.parametrize("options", [[], ["--mix", "1", "--styles", "0"]], ids=["seeds", "mix"])
@pytest.mark.parametrize("move", [[], ["--translate", "0,0"], ["--rotate", "90"], ["--translate", "0.5,0"]], ids=str)
def test_a_stored_transform_changes_no_picture_of_a_command(monkeypatch, tmp_path, options, move):
    """As gen_images.py, which sets its own transform for every picture."""
    plain, stored = Painter(3), Painter(3, transform=np.full((3, 3), 7.0))
    for painter in (plain, stored):
        monkeypatch.setattr("sg3x.loading.load_generator", lambda _, painter=painter: painter)
        run("generate", "x", "--seeds", "0", *options, *move, "--out", tmp_path)
    used = [[np.eye(3) if t is None else t for t in painter.used] for painter in (plain, stored)]
    np.testing.assert_array_equal(used[0], used[1])


def test_the_lines_to_train_with_are_keys_of_params_yaml(imported):
    from sg3x.commands.import_nvidia import _as_params, _untrainable
    from sg3x.config.sections import DiscriminatorSection, GeneratorSection

    stored = load_networks(imported)
    config, judge = stored.generator.config, stored.discriminator
    asked = parse_yaml(_as_params(config, judge.config))
    GeneratorSection(**asked["generator"])
    DiscriminatorSection(**asked["discriminator"])
    assert asked["resolution"] == 32 and _untrainable(stored.generator, judge, config) is None


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"img_channels": 4}, "draws 4 channels, training is in RGB"),
        ({"c_dim": 3}, "it has 3 classes"),
        ({"conv_kernel": 5}, "no key for its generator's conv_kernel, 5"),
        ({"first_cutoff": 3.0}, "no key for its generator's first_cutoff"),
        ({"num_layers": 40}, "params.yaml cannot ask for its shape"),
    ],
    ids=str,
)
def test_import_says_why_training_cannot_start(change, reason):
    from sg3x.commands.import_nvidia import _untrainable
    from sg3x.networks import DiscriminatorConfig, GeneratorConfig

    judge = SimpleNamespace(config=DiscriminatorConfig(32))
    assert reason in _untrainable(object(), judge, GeneratorConfig(32, **change))
    assert "no D" in _untrainable(object(), None, GeneratorConfig(32))


def test_ctrl_c_is_one_line_that_names_command_and_file(monkeypatch, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sg3x.interop.nvidia.load_pickle", interrupted)
    said = run("import-nvidia", PICKLE, tmp_path / "out", code=130)
    assert said.strip() == f"interrupted: sg3x import-nvidia {PICKLE}" and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
