from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sg3x.data import prepare
from sg3x.data.pictures import load_picture
from sg3x.data.prepare import load_arrays, load_index, prepare_dataset
from sg3x.files.fingerprint import hash_array, hash_tree

SETTINGS = {
    "resolution": 16,
    "resize_filter": "lanczos",
    "nonsquare": "crop",
    "unreadable": "error",
    "flips": True,
    "max_images": None,
    "workers": 1,
}
CALL = {name: SETTINGS[name] for name in ("resolution", "resize_filter", "nonsquare")}


def run(raw: Path, out: Path, **options):
    return prepare_dataset(raw, out, **(SETTINGS | options))


@pytest.fixture
def cats(raw: Path) -> Path:
    return raw / "train" / "cat"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "arrays"


def spoil(cats: Path) -> None:
    """Makes three of the five pictures unreadable, in three ways."""
    (cats / "1.png").write_bytes(b"")
    (cats / "2.png").write_text("I am a text")
    (cats / "4.png").write_bytes((cats / "4.png").read_bytes()[:-60])


# What is written


def test_rows_are_the_pictures_by_name_and_then_their_mirror_images(raw, cats, out):
    facts = run(raw, out)
    array, _ = load_arrays(out)
    assert (array.shape, array.dtype) == ((10, 16, 16, 3), np.uint8)
    for row in range(5):
        pixels, _ = load_picture((cats / f"{row}.png").read_bytes(), **CALL)
        assert np.array_equal(array[row], pixels)
        assert np.array_equal(array[row + 5], pixels[:, ::-1])
        assert not np.array_equal(array[row + 5], array[row])
    assert facts["shape"] == [10, 16, 16, 3]
    assert (facts["pictures"], facts["flips"]) == (5, True)


def test_index_says_for_every_row_the_file_and_whether_it_is_mirrored(raw, out):
    run(raw, out)
    names = [f"cat/{i}.png" for i in range(5)]
    assert load_index(out) == [(name, False) for name in names] + [(name, True) for name in names]
    with open(out / "index.csv", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["row", "file", "flip"]
    assert lines[7] == ["6", "cat/1.png", "1"]
    assert [int(line[0]) for line in lines[1:]] == list(range(10))


def test_without_flips_only_the_pictures_are_there(raw, out):
    facts = run(raw, out, flips=False)
    array, _ = load_arrays(out)
    assert array.shape == (5, 16, 16, 3)
    assert load_index(out) == [(f"cat/{i}.png", False) for i in range(5)]
    assert facts["flips"] is False


def test_facts_are_returned_and_written(raw, out):
    facts = run(raw, out, resize_filter="area", nonsquare="pad")
    assert json.loads((out / "dataset.json").read_text()) == facts
    assert (facts["resolution"], facts["resize_filter"], facts["nonsquare"]) == (16, "area", "pad")
    assert (facts["upscaled"], facts["duplicates"]["count"], facts["skipped"]["count"]) == (0, 0, 0)
    assert {file.name for file in out.iterdir()} == {"images.npy", "index.csv", "dataset.json"}


def test_array_opens_as_a_memory_map_that_cannot_be_written(raw, out):
    run(raw, out)
    array, _ = load_arrays(out)
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_names_in_all_alphabets_and_with_commas_come_back_from_the_index(raw, cats, out):
    (cats / "0.png").rename(cats / 'a, "b"\n.png')
    (cats / "1.png").rename(cats / "Möhre 猫.png")
    (cats / "2.png").rename(os.fsdecode(os.fsencode(cats) + b"/\xff.png"))
    run(raw, out)
    rows = load_index(out)
    assert len(rows) == 10
    assert all((raw / "train" / name).exists() for name, _ in rows)


def test_all_classes_below_train_are_taken_and_other_files_left_alone(raw, out, smooth):
    (raw / "train" / "ant").mkdir()
    Image.fromarray(smooth(24, 24, seed=9)).save(raw / "train" / "ant" / "z.png")
    (raw / "train" / "ant" / "notes.txt").write_text("no picture")
    (raw / "source.json").write_text("{}")
    assert run(raw, out)["pictures"] == 6
    assert load_index(out)[0] == ("ant/z.png", False)


# The same bytes, whatever happens


def test_bytes_do_not_depend_on_the_number_of_workers_nor_on_place_or_time(raw, cats, tmp_path):
    spoil(cats)
    hashes = set()
    for workers, place in ((1, "a"), (2, "b/c")):
        moved = shutil.copytree(raw, tmp_path / place / "raw", copy_function=shutil.copyfile)
        run(moved, tmp_path / place / "out", workers=workers, unreadable="skip")
        hashes.add(hash_tree(tmp_path / place / "out"))
    assert len(hashes) == 1


def test_workers_start_from_a_script(raw, out, tmp_path):
    script = tmp_path / "stage.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom sg3x.data.prepare import prepare_dataset\n"
        "if __name__ == '__main__':\n"
        f"    prepare_dataset(Path(sys.argv[1]), Path(sys.argv[2]), **{SETTINGS | {'workers': 2}})"
    )
    root = Path(prepare.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, script, raw, out], env=environment, check=True, timeout=60)
    assert load_arrays(out)[0].shape == (10, 16, 16, 3)


def test_a_worker_that_dies_is_named(raw, out):
    with pytest.raises(RuntimeError, match="one of 2 workers died"), prepare._results(_die, [raw] * 4, 2) as results:
        list(results)


def _die(path: Path) -> prepare._Decoded:
    os._exit(1)


def test_results_come_in_order_and_only_a_window_of_them_waits():
    started: list[int] = []

    def load(path):
        started.append(path)
        return path

    with ThreadPoolExecutor(3) as executor:
        results = prepare._in_order(executor, load, list(range(100)), window=8)
        first = [next(results) for _ in range(10)]
        assert len(started) <= 10 + 8
        assert first + list(results) == list(range(100))


def test_fingerprint_is_that_of_the_array_and_says_what_the_array_is(raw, cats, tmp_path):
    one = run(raw, tmp_path / "one")["fingerprint"]
    assert one == hash_array(load_arrays(tmp_path / "one")[0])
    others = [{"flips": False}, {"resolution": 8}, {"resize_filter": "area"}, {"max_images": 4}]
    found = [run(raw, tmp_path / "other", **other)["fingerprint"] for other in others]
    (cats / "0.png").rename(cats / "9.png")  # another order
    found.append(run(raw, tmp_path / "other")["fingerprint"])
    assert len({one, *found}) == 6


def test_fingerprint_is_of_the_pixels_and_not_of_the_files(raw, cats, tmp_path):
    one = run(raw, tmp_path / "one")
    for i in range(5):
        Image.open(cats / f"{i}.png").save(cats / f"{i}.bmp")
        (cats / f"{i}.png").unlink()
    assert run(raw, tmp_path / "two")["fingerprint"] == one["fingerprint"]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 400))
def test_mirroring_twice_gives_the_originals_whatever_the_block_size(count, side, block):
    import tempfile

    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(prepare, "_FLIP_BYTES", block)
        rows = (prepare._Decoded("", row.tobytes(), side) for row in pixels)
        shape, fingerprint = prepare._write_array(Path(folder, "a.npy"), rows, side, flips=True)
        array = np.load(Path(folder, "a.npy"))
    assert array.shape == shape
    assert np.array_equal(array[:count], pixels)
    assert np.array_equal(array[count:, :, ::-1], pixels)
    assert fingerprint == hash_array(array)


# Pictures that cannot be read, are too small, too many, or twice


def test_unreadable_pictures_are_all_listed_in_one_error(raw, cats, out):
    spoil(cats)
    with pytest.raises(ValueError, match=r"3 pictures below .*train cannot be read") as caught:
        run(raw, out)
    message = str(caught.value)
    assert "set prepare.unreadable to 'skip'" in message
    assert "cat/1.png: empty file (0 bytes)" in message
    assert "cat/2.png: not a picture" in message
    assert "cat/4.png: damaged" in message
    assert "cat/0.png" not in message
    assert not out.exists()


def test_unreadable_pictures_can_be_skipped_and_are_listed(raw, cats, out):
    spoil(cats)
    facts = run(raw, out, unreadable="skip")
    assert [entry["file"] for entry in facts["skipped"]["files"]] == ["cat/1.png", "cat/2.png", "cat/4.png"]
    assert facts["skipped"]["files"][0]["reason"] == "empty file (0 bytes)"
    assert facts["skipped"]["count"] == 3
    array, _ = load_arrays(out, verify=True)
    assert array.shape == (4, 16, 16, 3)
    assert np.array_equal(array[1], load_picture((cats / "3.png").read_bytes(), **CALL)[0])
    assert [name for name, _ in load_index(out)] == ["cat/0.png", "cat/3.png"] * 2


def test_when_none_can_be_read_skipping_is_no_way_out(raw, cats, out):
    for file in cats.iterdir():
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"5 pictures .* \(none can be read\)"):
        run(raw, out, unreadable="skip")


def test_a_link_to_nowhere_is_unreadable(raw, cats, out):
    (cats / "5.png").symlink_to(cats / "nowhere")
    with pytest.raises(ValueError, match=r"cat/5\.png: cannot be opened: No such file"):
        run(raw, out)


def test_at_most_so_many_pictures_are_taken_not_counting_flips_or_unreadable_ones(raw, cats, out):
    (cats / "0.png").write_bytes(b"")
    facts = run(raw, out, max_images=3, unreadable="skip")
    assert facts["shape"][0] == 6
    assert [name for name, _ in load_index(out)][:3] == ["cat/1.png", "cat/2.png", "cat/3.png"]
    assert facts["skipped"]["count"] == 1


def test_pictures_behind_the_last_one_wanted_do_not_matter(raw, cats, out):
    (cats / "4.png").write_bytes(b"")
    assert run(raw, out, max_images=4)["skipped"]["count"] == 0


def test_duplicates_are_counted_and_named(raw, cats, out):
    shutil.copy(cats / "0.png", cats / "7.png")
    shutil.copy(cats / "0.png", cats / "8.png")
    facts = run(raw, out)
    expected = [{"file": f"cat/{i}.png", "same_as": "cat/0.png"} for i in (7, 8)]
    assert facts["duplicates"] == {"count": 2, "files": expected}
    assert facts["pictures"] == 7


@pytest.mark.parametrize(("nonsquare", "small"), [("crop", 2), ("pad", 1)])
def test_enlarged_pictures_are_counted_in_one_warning(raw, cats, out, smooth, nonsquare, small):
    Image.fromarray(smooth(10, 10)).save(cats / "0.png")
    Image.fromarray(smooth(10, 30)).save(cats / "1.png")  # cropped it is too small, padded it is not
    with pytest.warns(UserWarning, match=f"{small} of 5 pictures are smaller than the resolution") as caught:
        facts = run(raw, out, nonsquare=nonsquare)
    assert len(caught) == 1
    assert facts["upscaled"] == small


def test_pictures_of_exactly_the_resolution_are_no_cause_for_a_warning(raw, out):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(raw, out, resolution=24)["upscaled"] == 0


def test_progress_is_told_for_every_picture(raw, out):
    calls: list[tuple[int, int]] = []
    run(raw, out, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 5) for i in range(1, 6)]


def test_progress_ends_at_the_number_wanted(raw, out):
    calls: list[tuple[int, int]] = []
    run(raw, out, max_images=3, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3, 3)


# What is refused, and what is left behind


@pytest.mark.parametrize("make", [True, False])
def test_no_pictures_is_a_clear_error(tmp_path, out, make):
    if make:
        (tmp_path / "raw" / "train" / "cat").mkdir(parents=True)
        (tmp_path / "raw" / "train" / "cat" / "a.txt").touch()
    with pytest.raises(ValueError, match=r"no pictures below .*train: run the fetch stage, and see fetch\.source"):
        run(tmp_path / "raw", out)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"resolution": 0}, "resolution is 0"),
        ({"max_images": 0}, "prepare.max_images is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"unreadable": "ignore"}, "prepare.unreadable is 'ignore'; allowed are 'error' and 'skip'"),
        ({"resize_filter": "cubic"}, "prepare.filter is 'cubic'; allowed are 'lanczos' and 'area'"),
        ({"nonsquare": "stretch"}, "prepare.nonsquare is 'stretch'; allowed are 'crop' and 'pad'"),
    ],
)
def test_settings_are_checked(raw, out, setting, message):
    with pytest.raises(ValueError, match=message):
        run(raw, out, **setting)
    assert not out.exists()


def test_old_output_stays_when_anything_fails_and_its_cache_is_never_written(raw, cats, out, tmp_path):
    run(raw, out)
    os.link(out / "images.npy", tmp_path / "cache")
    before, cached = hash_tree(out), (tmp_path / "cache").read_bytes()
    (cats / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read"):
        run(raw, out)
    assert hash_tree(out) == before
    run(raw, out, unreadable="skip")
    assert hash_tree(out) != before
    assert (tmp_path / "cache").read_bytes() == cached
    assert {file.name for file in tmp_path.iterdir()} == {"raw", "arrays", "cache"}


def test_full_disk_is_named(raw, out, monkeypatch):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare, "_write_array", full)
    with pytest.raises(OSError, match=r"disk is full while writing the array.*arrays"):
        run(raw, out)
    assert not out.exists()


# Too few, and lost ones


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"least_pictures": 6}, r"5 pictures can be read; allowed are 6 and more"),
        ({"least_pictures": 6, "flips": False}, r"5 pictures can be read; allowed are 6 and more"),
        (
            {"least_pictures": 4, "max_images": 3},
            r"3 pictures can be read; allowed are 4 and more.*prepare\.max_images",
        ),
        ({"batch_size": 11}, r"5 pictures are 10 rows of the array, fewer than batch_size=11"),
        ({"batch_size": 6, "flips": False}, r"5 pictures are 5 rows of the array, fewer than batch_size=6"),
    ],
)
def test_too_few_pictures_are_refused(raw, out, options, message):
    with pytest.raises(ValueError, match=message):
        run(raw, out, **options)
    assert not out.exists()


def test_just_enough_are_taken(raw, out):
    assert run(raw, out, least_pictures=5, batch_size=10)["pictures"] == 5


def test_pictures_are_counted_after_the_unreadable_ones_are_left_out(raw, cats, out):
    spoil(cats)
    with pytest.raises(ValueError, match="2 pictures can be read"):
        run(raw, out, unreadable="skip", least_pictures=3)


def test_as_many_pictures_as_the_evaluate_stage_needs():
    from sg3x.metrics import evaluate

    assert prepare.LEAST_PICTURES == evaluate.LEAST_PICTURES


def test_a_picture_that_gets_lost_on_the_way_stops_the_stage(raw, out, monkeypatch):
    class Few:
        def __enter__(self):
            return iter([prepare._Decoded("1", bytes(16 * 16 * 3), 16)] * 3)

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(prepare, "_results", lambda *args: Few())
    with pytest.raises(RuntimeError, match="5 pictures were to be read, 3 were"):
        run(raw, out)


def test_a_file_of_gigabytes_is_not_read(raw, cats, out, monkeypatch):
    monkeypatch.setattr(prepare, "MAX_FILE_BYTES", 100)
    with pytest.raises(ValueError, match=r"cat/0\.png: \d+ bytes; at most 100 are read"):
        run(raw, out)


def test_pictures_without_a_suffix_are_taken(raw, cats, out):
    (cats / "3.png").rename(cats / "3")
    (cats / ".hidden").write_bytes((cats / "0.png").read_bytes())
    assert [name for name, _ in (run(raw, out, flips=False), load_index(out))[1]][3] == "cat/3"


def test_the_stage_says_how_many_were_skipped(tmp_path, monkeypatch, capsys):
    from stages import prepare as stage

    facts = {
        "skipped": {"count": 50, "files": [{"file": f"cat/{i}.png", "reason": "empty"} for i in range(50)]},
        "pictures": 2,
    }
    stage._say_skipped(facts)
    said = capsys.readouterr().out
    assert "50 of 52 pictures cannot be read" in said
    assert "cat/0.png: empty" in said
