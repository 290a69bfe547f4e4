"""Checkpoints in the background: the newest whole one is found, the one before stays, failures surface."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sg3x.files.fingerprint import hash_file
from sg3x.training import every
from sg3x.training.errors import TrainingError
from sg3x.training.run import checkpoints
from sg3x.training.run.progress import Progress
from sg3x.training.run.scratch import leftovers

HISTORY = [{"kimg": "0.008"}]


def state(nimg: int) -> dict:
    return {"nimg": np.int32(nimg), "w": np.arange(5, dtype=np.float32)}


@pytest.fixture()
def progress(tmp_path):
    found = Progress(tmp_path, {"generator": {}})
    yield found
    found.close()


def test_the_newest_is_found_and_two_are_kept(progress):
    for nimg in (8, 16, 24):
        progress.save(state(nimg), nimg, HISTORY)
    progress.finish()
    assert [p.name for p in sorted(progress.scratch.iterdir())] == ["nimg-000000000016", "nimg-000000000024"]
    found, history = progress.newest(state(0))
    assert int(found["nimg"]) == 24 and history == HISTORY


@pytest.mark.parametrize("victim", ["meta.json", "manifest.json", "history.tsv", "state"])
def test_a_half_written_one_is_left_out_with_a_warning(progress, capsys, victim):
    for nimg in (8, 16):
        progress.save(state(nimg), nimg, HISTORY, wait=True)
    broken = progress.scratch / "nimg-000000000016" / victim
    if broken.is_dir():
        broken = max((p for p in broken.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    broken.write_bytes(broken.read_bytes()[:-3])
    found, _ = progress.newest(state(0))
    assert int(found["nimg"]) == 8
    assert "warning" in capsys.readouterr().out


# What can be wrong with a file: a new kind is one more line.
DAMAGE = {
    "a flipped bit": lambda file, data: file.write_bytes(flipped(file.read_bytes(), data)),
    "cut off": lambda file, data: file.write_bytes(
        file.read_bytes()[: data.draw(st.integers(0, file.stat().st_size - 1))]
    ),
    "longer": lambda file, data: file.write_bytes(file.read_bytes() + data.draw(st.binary(min_size=1, max_size=9))),
    "other bytes": lambda file, data: file.write_bytes(b"?" + data.draw(st.binary(max_size=99))),
    "not UTF-8": lambda file, data: file.write_bytes(b"\xff" + file.read_bytes()),
    "odd JSON": lambda file, data: file.write_text(data.draw(st.sampled_from(ODD_JSON))),
    "gone": lambda file, data: file.unlink(),
    "a folder": lambda file, data: (file.unlink(), file.mkdir()),
    "a link to nowhere": lambda file, data: (file.unlink(), file.symlink_to("nowhere")),
    "a link to itself": lambda file, data: (file.unlink(), file.symlink_to(file.name)),
    "a pipe": lambda file, data: (file.unlink(), os.mkfifo(file)),
}
ODD_JSON = [
    "[]",
    "null",
    "{}",
    "0",
    '""',
    "NaN",
    '{"meta.json": 1}',
    '{"format": 1}',
    "[" * 100_000,
    '{"\\u0000": "a"}',
]


def flipped(content: bytes, data) -> bytes:
    at = data.draw(st.integers(0, len(content) - 1))
    return content[:at] + bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]) + content[at + 1 :]


@pytest.fixture(scope="module")
def two_saved(tmp_path_factory):
    found = Progress(tmp_path_factory.mktemp("two"), {"generator": {}})
    for nimg in (8, 16):
        found.save(state(nimg), nimg, HISTORY, wait=True)
    found.close()
    return found.scratch


@pytest.mark.parametrize("damage", DAMAGE)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_happens_to_any_file_the_one_before_is_found(two_saved, tmp_path_factory, damage, data):
    scratch = tmp_path_factory.mktemp("damaged") / "scratch"
    shutil.copytree(two_saved, scratch)
    newest = scratch / "nimg-000000000016"
    file = data.draw(st.sampled_from(sorted(p for p in newest.rglob("*") if p.is_file())))
    before = file.read_bytes()
    DAMAGE[damage](file, data)
    assume(not file.is_file() or file.read_bytes() != before)
    with pytest.raises(
        checkpoints.CheckpointError, match=re.escape(file.relative_to(newest).as_posix()) + "|manifest.json"
    ):
        checkpoints.load_checkpoint(newest, state(0))
    again = Progress(scratch, {"generator": {}})
    found = again.newest(state(0))
    again.close()
    assert found is not None and int(found[0]["nimg"]) == 8


# What may lie in a scratch directory beside the checkpoints, as somebody's copy or what a file manager leaves.
STRAY = ["nimg-old", "nimg-", "nimg-000000000032.bak", "nimg-٠٠٠٠٠٠٠٠٠٠٣٢", ".nimg-000000000032.partial", "nimg-99"]


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_stray_files_are_left_alone(progress, stray, make):
    progress.save(state(8), 8, HISTORY, wait=True)
    make(progress.scratch / stray)
    found, _ = progress.newest(state(0))
    assert int(found["nimg"]) == 8
    progress.save(state(16), 16, HISTORY, wait=True)
    assert (progress.scratch / stray).exists()
    progress.scratch.joinpath("identity.json").write_text('{"segment": "a"}')
    notes = leftovers(progress.scratch.parent, Path("other"), {"segment": "a", "seed": 1})
    (note,) = [note for note in notes if str(progress.scratch) in note]
    assert "holds 0.016 kimg" in note


def test_a_file_under_a_checkpoints_name_is_passed_over_and_goes_with_the_old_ones(progress, capsys):
    progress.save(state(8), 8, HISTORY, wait=True)
    (progress.scratch / "nimg-000000000032").write_text("no folder")
    assert int(progress.newest(state(0))[0]["nimg"]) == 8
    assert "nimg-000000000032 is not a checkpoint" in capsys.readouterr().out
    progress.save(state(16), 16, HISTORY, wait=True)
    assert sorted(p.name[-2:] for p in progress.scratch.iterdir()) == ["08", "16"]


def test_going_on_before_damaged_ones_loses_nothing_new(progress, capsys):
    for nimg in (16, 24):
        progress.save(state(nimg), nimg, HISTORY, wait=True)
        (progress.scratch / f"nimg-{nimg:012d}" / "meta.json").write_text("{")
    again = Progress(progress.scratch, {"generator": {}})
    assert again.newest(state(0)) is None and again.last_good() is None
    again.save(state(8), 8, HISTORY, wait=True)
    assert again.last_good() == progress.scratch / "nimg-000000000008"
    found, _ = again.newest(state(0))
    assert int(found["nimg"]) == 8
    assert [p.name for p in progress.scratch.iterdir()] == ["nimg-000000000008"], "the damaged ones are of no use"
    again.close()


@pytest.mark.parametrize("file, damaged", [("history.tsv", ""), ("meta.json", "{")])
def test_a_damaged_one_is_not_the_last_good_one_nor_pushes_that_out(progress, capsys, file, damaged):
    for nimg in (8, 16):
        progress.save(state(nimg), nimg, HISTORY, wait=True)
    (progress.scratch / "nimg-000000000016" / file).write_text(damaged)
    again = Progress(progress.scratch, {"generator": {}})
    again.newest(state(0))
    assert again.last_good() == progress.scratch / "nimg-000000000008"
    again.save(state(24), 24, HISTORY, wait=True)
    assert sorted(p.name[-2:] for p in progress.scratch.iterdir()) == ["08", "24"]
    again.close()


def test_a_checkpoint_without_a_manifest_is_none(progress, capsys):
    progress.save(state(8), 8, HISTORY, wait=True)
    (progress.scratch / "nimg-000000000008" / "manifest.json").unlink()
    assert progress.newest(state(0)) is None


def test_a_failure_in_the_background_surfaces_at_the_next_look(progress, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_checkpoint", full)
    progress.save(state(8), 8, HISTORY)
    with pytest.raises(TrainingError, match=r"the disk is full.*SG3X_SCRATCH.*Earlier checkpoints are intact"):
        while progress.busy():
            pass
    assert progress.newest(state(0)) is None


def test_what_the_loop_changes_meanwhile_is_not_in_it(progress):
    history = list(HISTORY)
    progress.save(state(8), 8, history)
    history.append({"kimg": "0.016"})
    progress.finish()
    assert progress.newest(state(0))[1] == HISTORY


def test_due_by_images_is_exact_after_a_restart_anywhere():
    passed = []
    for start in (0, 300, 512):
        interval = every.Every(0.25, start)
        passed.append([])
        for nimg in range(start + 4, 1001, 4):
            if interval.due(nimg):
                assert interval.due(nimg), "asking changes nothing"
                interval.done(nimg)
                passed[-1].append(nimg)
    assert passed[0] == [252, 500, 752, 1000]
    assert passed[1] == [500, 752, 1000] and passed[2] == [752, 1000]


def test_due_by_the_clock_stays_due_until_done(monkeypatch):
    now = 0.0
    monkeypatch.setattr(every.time, "monotonic", lambda: now)
    interval = every.Every(None, 0, minutes=2)
    assert not interval.due(8)
    now = 121.0
    assert interval.due(16) and interval.due(24)  # the writer was busy: ask again
    interval.done(24)
    assert not interval.due(32)


def test_meta_says_where_it_is(progress):
    progress.save(state(8), 8, HISTORY, wait=True)
    assert json.loads((progress.scratch / "nimg-000000000008" / "meta.json").read_text())["nimg"] == 8


# A stranger's checkpoint, whose manifest agrees with its files: what an array's header says, or a file that is not there.
HEADERS = [
    ({"shape": [10**12], "chunks": [10**12]}, "w'.*expected"),
    ({"shape": [10**12], "chunks": [5]}, "pieces by its shape"),
    ({"chunks": [10**12]}, "chunks"),
    ({"chunks": [0]}, "chunks"),
    ({"shape": "5"}, "shape '5'"),
    ({"dtype": "<f8"}, "w'.*expected"),
]


@pytest.mark.parametrize("header, said", HEADERS)
def test_a_header_is_not_believed(progress, header, said):
    progress.save(state(8), 8, HISTORY, wait=True)
    (path,) = progress.scratch.glob("nimg-*")
    file = path / "state" / "w" / ".zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **header}))
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "state/w/.zarray": hash_file(file)}))
    with pytest.raises(checkpoints.CheckpointError, match=said):
        checkpoints.load_checkpoint(path, state(0))
