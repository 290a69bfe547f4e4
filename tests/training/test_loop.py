"""A whole segment in this process: stopped and resumed, watched and not, it ends in the same bytes."""

import fcntl
import json
import os
import signal
import threading
import time
from dataclasses import replace
from importlib.metadata import version

import jax
import numpy as np
import pytest
from PIL import Image

from sg3x.files.fingerprint import hash_tree
from sg3x.files.tables import parse_tsv
from sg3x.training import loop
from sg3x.training.checkpoints import load_checkpoint, save_checkpoint
from sg3x.training.execute.compiled import MeshStep, data_mesh
from sg3x.training.execute.microbatches import Microbatches
from sg3x.training.lifecycle import Interrupted
from sg3x.training.loop import Segment, run_segment
from sg3x.training.objective.phases import Batch
from sg3x.training.problems import TrainingError
from sg3x.training.snapshots import Snapshots
from sg3x.training.state import init_state
from tests.training.conftest import CONFIG, PICTURES, D, G


@pytest.fixture(scope="module")
def segment(tmp_path_factory) -> Segment:
    folder = tmp_path_factory.mktemp("segment")
    meta = {"generator": G.to_dict(), "discriminator": D.to_dict(), "nimg": 0}
    save_checkpoint(folder / "0", init_state(G, D, 0), meta, [])
    return Segment(folder / "0", folder / "1", 1, folder / "scratch", log_kimg=0.1)


@pytest.fixture(scope="module")
def undisturbed(segment) -> str:
    run_segment(CONFIG, segment, PICTURES, "data")
    return hash_tree(segment.out)


def test_the_history_has_every_row_once(segment, undisturbed):
    rows = parse_tsv((segment.out / "history.tsv").read_text())
    assert [float(row["kimg"]) for row in rows] == [0.104, 0.2, 0.304, 0.4, 0.504, 0.6, 0.704, 0.8, 0.904, 1.0]
    assert not segment.scratch().exists()


def test_stopped_resumed_and_watched_it_ends_in_the_same_bytes(segment, undisturbed, tmp_path, capsys):
    when: list[str] = []

    def compiled() -> None:
        when.append(json.loads((watched.scratch() / "progress.json").read_text())["state"])

    watched = replace(
        segment, out=tmp_path / "1", scratch_root=tmp_path / "scratch", checkpoint_kimg=0.05, snapshot_kimg=0.25,
        tensorboard=str(tmp_path / "board"), when_compiled=compiled,
    )  # fmt: skip
    for _ in range(2):  # twice: from the parent, then from its own progress
        stopper = threading.Thread(target=stop_at_next_checkpoint, args=(watched.scratch(),))
        stopper.start()
        with pytest.raises(Interrupted, match="dvc repro"):
            run_segment(CONFIG, watched, PICTURES, "data")
        stopper.join()
    said = json.loads((watched.scratch() / "progress.json").read_text())
    run_segment(CONFIG, watched, PICTURES, "data")
    assert hash_tree(watched.out) == undisturbed
    assert when == ["compiling"] * 3, "once a start, before the first step"
    assert "resuming at" in capsys.readouterr().out
    assert said["pid"] == os.getpid() and said["end_kimg"] == 1
    grids = sorted((tmp_path / "scratch" / "snapshots" / "1").iterdir())
    assert [g.name for g in grids] == ["000000.256.png", "000000.504.png", "000000.752.png", "000001.000.png"]
    with Image.open(grids[0]) as grid:
        assert grid.size == (128, 64)
    assert list((tmp_path / "board" / "1").glob("events*"))


def stop_at_next_checkpoint(scratch) -> None:
    before = {p.name for p in scratch.glob("nimg-*")}
    for _ in range(6000):
        if {p.name for p in scratch.glob("nimg-*")} - before:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(0.01)


def test_what_computes_in_another_way_has_progress_of_its_own(segment, monkeypatch):
    plain = segment.scratch()
    for name, value in (("SG3X_CONV", "lax"), ("SG3X_FILTERED_LRELU", "direct")):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert segment.scratch() != plain, name
    for library in ("jax", "jaxlib", "optax"):
        with monkeypatch.context() as changed:
            changed.setattr(loop, "version", lambda name, other=library: "0" if name == other else version(name))
            assert segment.scratch() != plain, library
    assert segment.scratch() == plain


def test_a_nan_stops_with_the_term_and_the_step(segment, tmp_path):
    state, meta, history = load_checkpoint(segment.parent)
    name = "b4.out.weight"
    state["d"] = {**state["d"], name: np.full_like(state["d"][name], np.inf)}
    save_checkpoint(tmp_path / "0", state, meta, history)
    broken = replace(segment, parent=tmp_path / "0", out=tmp_path / "1", scratch_root=tmp_path / "scratch")
    with pytest.raises(TrainingError, match=r"loss_g \(G's loss\) is not finite since step 1;.*Last good checkpoint"):
        run_segment(CONFIG, broken, PICTURES, "data")
    assert not broken.out.exists()


def test_more_memory_than_the_machine_has_is_refused_before_the_first_step(segment, tmp_path, monkeypatch):
    """By the loop, that runs here; not by the step, whose programs are compiled for other machines too."""
    monkeypatch.setattr("sg3x.training.execute.memory.device_limit", lambda: 1000)
    with pytest.raises(
        TrainingError, match=r"phase .* needs .* per device by the compiler's count, a device has 0 MiB"
    ):
        run_segment(CONFIG, replace(segment, scratch_root=tmp_path), PICTURES, "data")
    one = {"G": jax.jit(lambda x: x + 1).lower(np.zeros(5000)).compile()}
    monkeypatch.setattr(MeshStep, "_compile", lambda self, state: one)
    monkeypatch.setattr(
        "sg3x.training.execute.compiled.replicate", None
    )  # nothing is put on devices that are only described
    described = MeshStep(CONFIG, data_mesh(1), init_state(G, D, 0), Microbatches(8, 4, 1, 4, "accumulated"))
    assert described.bytes["G"] > 1000


def test_grids_are_compiled_before_the_processes_wait_for_each_other(segment, tmp_path, monkeypatch):
    """Not between steps, where the others would wait for it; and only if there will be any."""
    seen = []
    monkeypatch.setattr(loop, "Snapshots", lambda *_: seen.append("compiled grids"))

    def barrier(name):
        seen.append(name)
        raise TrainingError("enough")

    monkeypatch.setattr(loop, "barrier", barrier)
    for kimg in (1.0, None):
        with pytest.raises(TrainingError, match="enough"):
            run_segment(CONFIG, replace(segment, scratch_root=tmp_path, snapshot_kimg=kimg), PICTURES, "data")
    assert seen == ["compiled grids", "compiled", "compiled"]


def test_a_grid_needs_the_averaged_generator_only(tmp_path):
    state = init_state(G, D, 0)
    snapshots = Snapshots(CONFIG, tmp_path, state)
    assert isinstance(snapshots.sample, jax.stages.Compiled)
    grid = snapshots.take({"g_ema": state["g_ema"], "g_buffers": state["g_buffers"]}, 8)
    assert grid.shape == (64, 128, 3) and (tmp_path / "000000.008.png").exists()


def test_progress_is_removed_while_the_lock_is_held(segment, tmp_path, monkeypatch):
    held = []

    def discard(scratch):
        with open(scratch / "lock") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(scratch)

    monkeypatch.setattr(loop, "discard", discard)
    run_segment(CONFIG, replace(segment, out=tmp_path / "1", scratch_root=tmp_path / "scratch"), PICTURES, "data")
    assert len(held) == 1


def test_nothing_crosses_between_host_and_device_unasked(segment, tmp_path, monkeypatch):
    """The guard around the loop is on: a step that takes a host array fails."""
    monkeypatch.setattr(MeshStep, "put_batch", lambda self, batch: Batch(batch))
    guarded = replace(segment, out=tmp_path / "1", scratch_root=tmp_path / "scratch")
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        run_segment(CONFIG, guarded, PICTURES, "data")


def test_a_finished_segment_is_written_though_progress_cannot_be(segment, undisturbed, tmp_path, monkeypatch):
    """The last progress checkpoint fails in the background while the last step runs: it is not needed any more."""
    write = loop.Progress._write

    def fail_at_the_end(self, state, nimg, history):
        if nimg == 1000:
            raise TrainingError("no room")
        write(self, state, nimg, history)

    monkeypatch.setattr(loop.Progress, "_write", fail_at_the_end)
    full = replace(segment, out=tmp_path / "1", scratch_root=tmp_path / "scratch", checkpoint_kimg=1.0)
    run_segment(CONFIG, full, PICTURES, "data")
    assert hash_tree(full.out) == undisturbed
