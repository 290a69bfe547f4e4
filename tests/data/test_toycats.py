"""The toy cats: the same bytes for the same (seed, index), and cats indeed."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sg3x.data.toycats import MAX_SIZE, MIN_SIZE, PATTERNS, Traits, render_toycat, write_toycats
from sg3x.data.toycats import picture as picture_module
from sg3x.data.toycats.canvas import Canvas, Pose
from sg3x.data.toycats.dice import Dice
from sg3x.data.toycats.face import shape_face
from sg3x.data.toycats.fur import fur_field
from sg3x.data.toycats.palette import EYES, PATTERN_COATS, POINTS, mix
from sg3x.data.toycats.traits import backdrops_for, draw_traits

CATS = range(16)


@pytest.fixture(scope="module")
def cats() -> list[tuple[np.ndarray, dict]]:
    """The first few cats of seed 0, at 256 pixels."""
    return [render_toycat(index, seed=0, size=256) for index in CATS]


def area_average(picture: np.ndarray, factor: int) -> np.ndarray:
    size = picture.shape[0] // factor
    return picture.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))


def tree(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# ---- determinism -----------------------------------------------------------------------------------------------------


def test_same_seed_and_index_give_the_same_bytes(cats):
    for index in (0, 7):
        picture, attributes = render_toycat(index, seed=0, size=256)
        assert picture.tobytes() == cats[index][0].tobytes()
        assert attributes == cats[index][1]


def test_other_index_or_seed_gives_another_cat(cats):
    pictures = [picture for picture, _ in cats] + [render_toycat(0, seed=1, size=256)[0]]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_bytes_are_those_of_every_other_machine():
    """Fails if a libm, a random generator or a careless edit gets into the pixels; new art means a new digest."""
    digest = hashlib.sha256()
    for index in range(4):
        picture, attributes = render_toycat(index, seed=5, size=64)
        digest.update(picture.tobytes() + json.dumps(attributes, sort_keys=True).encode())
    assert digest.hexdigest() == "bf24dd949d11c96db711a49f7e816ac8ab523c265399ecb0bb5feecf3c882a7d"


def test_no_float64_slows_or_unsettles_the_painting():
    """The painted layers stay float32; a stray float64 array would raise the whole picture."""
    traits = draw_traits(0, 0)
    canvas = Canvas(64, Pose(traits.scale, (traits.shift_x, traits.shift_y), traits.roll), 0, 64)
    assert canvas.x.dtype == canvas.y.dtype == np.float32
    assert fur_field(canvas.x, canvas.y, Dice(0, 0)).dtype == np.float32
    picture_module._paint_layers(canvas, traits, shape_face(traits), Dice(0, 0))
    assert canvas.image.dtype == np.float32


def test_painting_in_bands_changes_no_byte(monkeypatch, cats):
    monkeypatch.setattr(picture_module, "_BAND", 37)
    assert render_toycat(3, seed=0, size=256)[0].tobytes() == cats[3][0].tobytes()


# ---- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 33, 64, 100, 300])
def test_shape_and_type_at_every_size(size):
    picture, _ = render_toycat(2, seed=0, size=size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize(("large", "small"), [(256, 64), (512, 256), (512, 32), (320, 160)])
def test_same_picture_at_every_size(large, small):
    for index in (1, 2, 3):
        big, big_attributes = render_toycat(index, seed=0, size=large)
        little, little_attributes = render_toycat(index, seed=0, size=small)
        assert big_attributes == little_attributes
        difference = np.abs(area_average(big, large // small) - little)
        assert difference.mean() < 0.8, "levels of 255, on average"
        assert np.percentile(difference, 99) < 8
        other = render_toycat(index + 1, seed=0, size=small)[0]
        assert np.abs(area_average(big, large // small) - other).mean() > 20, "the bound tells cats apart"


# ---- cats ------------------------------------------------------------------------------------------------------------


def test_every_pattern_occurs_in_the_first_hundred():
    for seed in range(3):
        assert {draw_traits(seed, index).pattern for index in range(100)} == set(PATTERNS)


def test_every_coat_has_backdrops_to_stand_out_from():
    for pattern, coats in PATTERN_COATS.items():
        for coat in coats:
            for points in POINTS if pattern == "point" else ("none",):
                assert len(backdrops_for(pattern, coat, points)) >= 2, (pattern, coat, points)


def test_attributes_are_the_traits_and_survive_json(cats):
    for index, (_, attributes) in zip(CATS, cats, strict=True):
        assert json.loads(json.dumps(attributes)) == attributes
        assert set(Traits.__annotations__) | {"seed", "index", "landmarks"} == set(attributes)
        assert attributes["index"] == index
        assert all(0 < value < 1 for point in attributes["landmarks"].values() for value in point)


def disc(picture: np.ndarray, center: Sequence[float], radius: float) -> np.ndarray:
    """The pixels [n, 3], 0..1, about a point; lengths in fractions of the frame."""
    at = (np.arange(len(picture)) + 0.5) / len(picture)
    inside = (at[None, :] - center[0]) ** 2 + (at[:, None] - center[1]) ** 2 < radius**2
    return picture[inside] / 255


def share_of_iris(pixels: np.ndarray, eye_color: str) -> float:
    """The share of pixels whose hue is that of the iris, whatever their brightness."""
    outer, inner = EYES[eye_color]
    shades = np.array([mix(outer, inner, t) for t in (0, 0.25, 0.5, 0.75, 1)])
    shades /= shades.sum(axis=1, keepdims=True)
    hue = pixels / (pixels.sum(axis=1, keepdims=True) + 1e-3)
    near = np.abs(hue[:, None] - shades[None]).sum(axis=2).min(axis=1) < 0.07
    return float((near & (pixels.max(axis=1) > 0.25)).mean())


def test_eyes_are_where_and_of_the_colour_the_attributes_say(cats):
    for picture, attributes in cats:
        marks, radius = attributes["landmarks"], 0.09 * attributes["scale"]
        for name in ("left_eye", "right_eye"):
            pixels = disc(picture, marks[name], radius)
            assert share_of_iris(pixels, attributes["eye_color"]) > 0.15, (attributes["index"], name)
            assert (pixels.max(axis=1) < 0.16).mean() > 0.04, "a pupil"
            assert (pixels.min(axis=1) > 0.75).mean() > 0.02, "a catchlight"
            others = [color for color in EYES if color != attributes["eye_color"]]
            assert min(share_of_iris(pixels, color) for color in others) < 0.1, "hues are told apart"


def test_there_are_eyes_nowhere_else(cats):
    """The test above would fail on the forehead: no iris and no catchlight there."""
    for picture, attributes in cats:
        marks, radius = attributes["landmarks"], 0.09 * attributes["scale"]
        eyes = (np.array(marks["left_eye"]) + marks["right_eye"]) / 2
        forehead = disc(picture, eyes + 0.8 * (eyes - np.array(marks["nose"])), radius)
        assert (forehead.max(axis=1) < 0.16).mean() < 0.01
        if attributes["eye_color"] in ("green", "aqua"):
            assert share_of_iris(forehead, attributes["eye_color"]) < 0.02


def test_two_ears_rise_from_the_head_into_the_backdrop(cats):
    """Just inside each tip is cat, and unlike the backdrop just beyond it and the backdrop between the ears."""
    for picture, attributes in cats:
        marks = {name: np.array(point) for name, point in attributes["landmarks"].items()}
        left, right, nose = marks["left_ear_tip"], marks["right_ear_tip"], marks["nose"]
        between = disc(picture, (left + right) / 2, 0.02).mean(axis=0)
        for tip in (left, right):
            inward = (nose - tip) / np.linalg.norm(nose - tip)
            ear = disc(picture, tip + 0.035 * inward, 0.01).mean(axis=0)
            beyond = disc(picture, tip - 0.03 * inward, 0.01).mean(axis=0)
            assert np.abs(ear - beyond).sum() > 0.15, attributes["index"]
            assert np.abs(ear - between).sum() > 0.15, attributes["index"]


def test_nose_is_where_the_attributes_say(cats):
    """Its rim, gleam and nostrils make a contrast that plain fur does not."""
    for picture, attributes in cats:
        marks = {name: np.array(point) for name, point in attributes["landmarks"].items()}
        eyes, nose = (marks["left_eye"] + marks["right_eye"]) / 2, marks["nose"]
        assert disc(picture, nose, 0.04).std(axis=0).mean() > 0.05, attributes["index"]
        if attributes["pattern"] == "solid":
            assert disc(picture, eyes + 0.8 * (eyes - nose), 0.04).std(axis=0).mean() < 0.04, attributes["index"]


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_folder_has_the_layout_of_afhqv2_and_attributes_beside(tmp_path):
    seen = []
    write_toycats(tmp_path / "toy", count=3, size=24, seed=4, workers=1, progress=lambda *at: seen.append(at))
    names = [f"train/cat/toycat_{index:06d}.png" for index in range(3)]
    assert sorted(tree(tmp_path / "toy")) == ["attributes.json", *names]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    attributes = json.loads((tmp_path / "toy" / "attributes.json").read_text(encoding="utf-8"))
    assert list(attributes) == names
    for index, name in enumerate(names):
        picture, expected = render_toycat(index, seed=4, size=24)
        with Image.open(tmp_path / "toy" / name) as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), picture)
        assert attributes[name] == expected


def test_any_number_of_workers_writes_the_same_bytes(tmp_path):
    for workers in (1, 2):
        write_toycats(tmp_path / str(workers), count=10, size=32, seed=0, workers=workers)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_workers_start_from_a_guarded_script(tmp_path):
    script = tmp_path / "fetch.py"
    script.write_text(
        "from pathlib import Path\nfrom sg3x.data.toycats import write_toycats\n"
        "if __name__ == '__main__':\n    write_toycats(Path('toy'), count=9, size=16, seed=0, workers=2)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, script], cwd=tmp_path, env={"PYTHONPATH": str(root)}, check=True, timeout=60)
    assert len(tree(tmp_path / "toy")) == 10


def test_a_script_without_a_guard_is_told_so_and_does_not_hang(tmp_path):
    call = "from pathlib import Path\nfrom sg3x.data.toycats import write_toycats\n"
    call += "write_toycats(Path('toy'), count=9, size=16, seed=0, workers=2)\n"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable], input=call, text=True, cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "or workers=1" in done.stderr


def test_a_second_call_leaves_no_stale_cats(tmp_path):
    write_toycats(tmp_path, count=3, size=16, seed=0, workers=1)
    write_toycats(tmp_path, count=2, size=16, seed=0, workers=1)
    assert len(tree(tmp_path)) == 3


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, r"index is -1; .* 0 or more"),
        ({"index": 1.5}, r"index is 1\.5; .* integer"),
        ({"seed": -3}, r"seed is -3; .* 0 or more"),
        ({"size": MIN_SIZE - 1}, r"size is 15; .* 16\.\.1024"),
        ({"size": MAX_SIZE + 1}, r"size is 1025; .* 16\.\.1024"),
        ({"size": True}, r"size is True; .* integer"),
    ],
)
def test_render_names_the_bad_value_and_what_is_allowed(arguments, message):
    good = {"index": 0, "seed": 0, "size": 64} | arguments
    with pytest.raises(ValueError, match=message):
        render_toycat(good["index"], seed=good["seed"], size=good["size"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, r"count is 0; .* 1 or more"),
        ({"size": 2048}, r"size is 2048; .* 16\.\.1024"),
        ({"seed": -1}, r"seed is -1; .* 0 or more"),
        ({"workers": 0}, r"workers is 0; .* 1 or more"),
    ],
)
def test_write_names_the_bad_value_and_writes_nothing(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_toycats(tmp_path / "toy", **({"count": 1, "size": 16, "seed": 0, "workers": 1} | arguments))
    assert not (tmp_path / "toy").exists()
