"""Killed at any moment, a segment resumes and ends in the same bytes; no trainer is left behind and none runs twice.

A few of the cases that `python -m benchmarks.soak` goes through at random, by the hundred.
"""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sg3x.files.fingerprint import hash_tree
from tests.workflow.project import Project, copy_project

pytestmark = pytest.mark.slow

TRAIN = ("python3", "-m", "stages.train", "--from", "0", "--to", "1")
OFTEN = {"SG3X_CHECKPOINT_MINUTES": "0.005"}  # a progress checkpoint every 0.3 s


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Project:
    """Everything before training is there, and the bytes that undisturbed training ends in."""
    project = copy_project(tmp_path_factory.mktemp("kills") / "project")
    project.set_params(generator={"num_layers": 5})
    project.run("dvc", "repro", "init", "prepare")
    project.run(*TRAIN)
    return project


@pytest.fixture()
def undisturbed(ready):
    """Hash of the checkpoint; afterwards it is moved away, so that the test has to make it again."""
    kept = ready.folder / "checkpoints" / ".undisturbed"
    if not kept.exists():
        (ready.folder / "checkpoints" / "1").rename(kept)
    subprocess.run(["rm", "-rf", ready.folder / "checkpoints" / "1", ready.folder / "scratch"], check=True)
    return hash_tree(kept)


def wait_for(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def progress(project: Project) -> list[Path]:
    return sorted((project.folder / "scratch").glob("*/nimg-*"))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_trainer_resumes_to_the_same_bytes(ready, undisturbed, number):
    trainer = ready.start(*TRAIN, **OFTEN)
    wait_for(lambda: progress(ready) or trainer.poll() is not None)
    os.kill(trainer.pid, number)
    output, _ = trainer.communicate(timeout=60)
    assert trainer.returncode != 0, "DVC would take an interrupted segment as done"
    if number != signal.SIGKILL:
        assert "progress is saved" in output and "dvc repro" in output
    again = ready.run(*TRAIN)
    assert "resuming at" in again.stdout
    assert hash_tree(ready.folder / "checkpoints" / "1") == undisturbed


def test_killed_while_it_compiles(ready, undisturbed):
    trainer = ready.start(*TRAIN, **OFTEN)
    wait_for(lambda: list((ready.folder / "scratch").glob("*/lock")))
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.communicate(timeout=60)
    ready.run(*TRAIN)
    assert hash_tree(ready.folder / "checkpoints" / "1") == undisturbed


def test_a_damaged_progress_checkpoint_is_noticed_and_not_used(ready, undisturbed):
    trainer = ready.start(*TRAIN, **OFTEN)
    wait_for(lambda: len(progress(ready)) == 2 or trainer.poll() is not None)
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.communicate(timeout=60)
    newest = progress(ready)[-1]
    victim = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1])
    again = ready.run(*TRAIN)
    assert "is damaged" in again.stdout and "trying the one before" in again.stdout
    assert hash_tree(ready.folder / "checkpoints" / "1") == undisturbed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killing_dvc_alone_stops_the_trainer_too(ready, undisturbed, number):
    repro = ("dvc", "repro", "-f", "--no-run-cache", "-s", "train@1")  # or the second case takes the first one's result
    dvc = ready.start(*repro, **OFTEN)
    wait_for(lambda: progress(ready) or dvc.poll() is not None)
    lock = next((ready.folder / "scratch").glob("*/lock"))
    trainer = int(lock.read_text())
    os.kill(dvc.pid, number)
    dvc.wait(timeout=60)  # reaped, as a shell does: DVC takes a zombie for a running one
    again = ready.run(*repro)  # at once: it waits for the first to save and stop
    assert dvc.stdout is not None
    dvc.stdout.close()
    assert not alive(trainer)
    assert hash_tree(ready.folder / "checkpoints" / "1") == undisturbed
    assert "resuming at" in again.stdout and not re.search(r"starting at 0", again.stdout)


def test_a_second_trainer_waits_for_the_first(ready, undisturbed):
    first = ready.start(*TRAIN)
    wait_for(lambda: any(p.read_text() for p in (ready.folder / "scratch").glob("*/lock")))
    second = ready.start(*TRAIN)
    outputs = [p.communicate(timeout=300)[0] for p in (first, second)]
    assert first.returncode == 0, outputs[0]
    assert "another trainer" in outputs[1]
    assert hash_tree(ready.folder / "checkpoints" / "1") == undisturbed


def test_progress_of_a_changed_run_is_not_resumed(ready, undisturbed):
    trainer = ready.start(*TRAIN, **OFTEN)
    wait_for(lambda: progress(ready) or trainer.poll() is not None)
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.communicate(timeout=60)
    params = ready.folder / "params.yaml"
    before = params.read_text()
    ready.set_params(r1_gamma=0.2)
    try:
        changed = ready.run(*TRAIN)
    finally:
        params.write_text(before)
    assert "starting at 0.000" in changed.stdout
    assert hash_tree(ready.folder / "checkpoints" / "1") != undisturbed


def test_a_checkpoint_of_another_network_names_the_keys(ready, undisturbed):
    params = ready.folder / "params.yaml"
    before = params.read_text()
    ready.set_params(generator={"w_dim": 16})
    try:
        refused = ready.run(*TRAIN, check=False)
    finally:
        params.write_text(before)
    assert refused.returncode == 1
    assert "generator.w_dim: there 8, params.yaml 16" in refused.stderr


def test_diverged_training_stops_with_the_step_range(ready, undisturbed):
    params = ready.folder / "params.yaml"
    before = params.read_text()
    ready.set_params(r1_gamma=1e38, g_lr=1e30)
    try:
        stopped = ready.run(*TRAIN, check=False)
    finally:
        params.write_text(before)
    assert stopped.returncode == 1
    for said in ("is not finite since step", "within the last", "Last good checkpoint"):
        assert said in stopped.stderr
    assert not (ready.folder / "checkpoints" / "1").exists()


def test_the_meta_says_what_the_checkpoint_is(ready, undisturbed):
    meta = json.loads((ready.folder / "checkpoints" / ".undisturbed" / "meta.json").read_text())
    facts = json.loads((ready.folder / "data" / "arrays" / "dataset.json").read_text())
    assert meta["nimg"] == 1000 and meta["dataset_fingerprint"] == facts["fingerprint"]
