"""One trainer a scratch directory, and stop requests, to a real process and more than one."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sg3x.training.run.checkpoints import verify
from sg3x.training.run.lock import exclusive
from sg3x.training.run.scratch import discard
from tests.shared import COMPILED

ROOT = Path(__file__).parents[3]
FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

# One tiny segment, long enough to be stopped; with "slow" its second and later checkpoints take for ever to be written.
TRAIN = """
import sys, time
from pathlib import Path
from sg3x.training.run import checkpoints
from tests.training.two_processes import main
sync = checkpoints._sync
def slowly(part):
    if list(part.parent.glob("nimg-*")):
        time.sleep(600)
    sync(part)
if sys.argv[2] == "slow":
    checkpoints._sync = slowly
try:
    main(Path(sys.argv[1]), False, 100)
except KeyboardInterrupt as stopped:
    print(stopped, flush=True)
    sys.exit(130)
"""


def train(folder: Path, how: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "OMPI_", "JAX_", "XLA_"))}
    env |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    env |= COMPILED
    command = [sys.executable, "-c", TRAIN, str(folder), how]
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output up to the line with `text`, which has to come."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"{text!r} was never said:\n{said}")


@pytest.mark.slow
def test_a_second_stop_request_is_answered_and_the_third_ctrl_c_loses_nothing_that_was_saved(tmp_path):
    trainer = train(tmp_path, "slow")
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("scratch/*/nimg-*")):
        assert time.monotonic() < deadline and trainer.poll() is None
        time.sleep(0.01)
    trainer.send_signal(signal.SIGINT)
    assert "SIGINT" in read_until(trainer, "stopping after this step and saving")
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):  # SIGTERM as often as it likes
        trainer.send_signal(number)
        answer = read_until(trainer, "already stopping, progress is being saved, please wait")
        assert "A third Ctrl-C ends at once, without saving" in answer
    assert trainer.poll() is None
    trainer.send_signal(signal.SIGINT)
    output, _ = trainer.communicate(timeout=30)
    assert trainer.returncode == 130
    assert "ending without saving. The last checkpoint is intact" in output and "dvc repro" in output
    (saved,) = tmp_path.glob("scratch/*/nimg-*")
    verify(saved)
    again = train(tmp_path, "quick")
    read_until(again, f"resuming at {int(saved.name[5:]) / 1000:.3f} kimg")
    again.terminate()
    assert "progress is saved" in again.communicate(timeout=300)[0] and again.returncode == 130


def test_signals_are_heard_while_a_compiler_is_at_work():
    """Python's own handlers wait until the call into compiled code returns: here one that never does."""
    code = (
        "import ctypes, signal\nfrom sg3x.training.run.stop import stop_on_signals\n"
        "with stop_on_signals():\n print('ready', flush=True)\n"
        " while True: ctypes.CDLL(None).sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        read_until(process, "ready")
        for said in ("stopping after this step", "please wait", "ending without saving"):
            process.send_signal(signal.SIGINT)
            read_until(process, said)
        assert process.wait(timeout=30) == 130


# A trainer that says a line a step and stops when it is asked to; what it saw goes to a file, as stdout may be no more.
TALK = """
import os, signal, sys, time
from pathlib import Path
from sg3x.training.run.stop import stop_on_signals
with stop_on_signals() as stop:
    for step in range(400):
        print("step …", step, flush=True)
        if step == 5 and "hang-up" in sys.argv[3:]:
            os.kill(os.getpid(), signal.SIGHUP)
        if stop or (step > 20 and sys.argv[2] == "briefly"):
            break
        time.sleep(0.05)
Path(sys.argv[1]).write_text(str(stop.reason))
"""

# How stdout or the terminal goes away -> what the trainer makes of it. A new way is one more line.
LOST_OUTPUT = {
    "closed pipe": ('{python} -c "$TALK" {seen} on | head -2', "closed pipe"),
    "hang-up": ('{python} -c "$TALK" {seen} on hang-up', "SIGHUP"),
    "hang-up under nohup": ('nohup {python} -c "$TALK" {seen} briefly hang-up', "None"),
    "full disk below the log": ('{python} -c "$TALK" {seen} briefly > /dev/full', "None"),
    "closed stdout": ('{python} -c "$TALK" {seen} briefly >&-', "None"),
    "closed stdout and stderr": ('{python} -c "$TALK" {seen} briefly >&- 2>&-', "None"),
    "no UTF-8": ('PYTHONIOENCODING=ascii {python} -c "$TALK" {seen} briefly', "None"),
}


@pytest.mark.parametrize("how", LOST_OUTPUT)
def test_output_that_is_lost_ends_no_trainer(how, tmp_path):
    command, expected = LOST_OUTPUT[how]
    line = command.format(python=sys.executable, seen=tmp_path / "seen")
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=ROOT,
        env={**os.environ, "TALK": TALK},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert expected in (tmp_path / "seen").read_text(), done
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr and "Exception" not in done.stderr


def test_the_lock_of_a_removed_directory_keeps_nobody_out(tmp_path):
    """Who waited for a trainer that finished holds the lock of the directory that is there then, not of the one that went."""
    scratch, inside, leave = tmp_path / "scratch", threading.Event(), threading.Event()

    def second():
        with exclusive(scratch):
            inside.set()
            leave.wait(60)

    waiting = threading.Thread(target=second)
    with exclusive(scratch):
        waiting.start()
        time.sleep(0.5)
        assert not inside.is_set()
        discard(scratch)
    try:
        assert inside.wait(30)
        with pytest.raises(RuntimeError, match=f"another trainer .process {os.getpid()}. is running"):
            exclusive(scratch, wait_seconds=0).__enter__()
    finally:
        leave.set()
        waiting.join()
    with exclusive(scratch, wait_seconds=0):
        assert (scratch / "lock").read_text() == str(os.getpid())
