"""A stage ends with the `dvc` that started it, whenever that is killed and however many shells are between."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What DVC's part is here: it starts a command through a shell (or not), waits, and says the number of the stage.
DVC = """
import subprocess, sys
shell = ["bash", "--noprofile", "--norc", "-c"] if sys.argv[1] == "bash" else ["/bin/sh", "-c"]
command = sys.argv[2] + ("; true" if "stays" in sys.argv[1] else "")
subprocess.run([*shell, command])
"""
STAGE = """
import os, sys, time
import stages

if "early" in sys.argv:
    print(os.getpid(), flush=True)
    time.sleep(1)
from stages.common import main
def stage():
    print(os.getpid(), flush=True)
    time.sleep(60)
main(stage)
"""


def start(folder, shell, *arguments):
    stage = folder / "stage.py"
    stage.write_text(STAGE)
    env = os.environ | {"PYTHONPATH": str(ROOT), "DVC_STAGE": "stage"}
    command = " ".join([sys.executable, str(stage), *arguments])
    return subprocess.Popen(
        [sys.executable, "-c", DVC, shell, command], env=env, text=True, stdout=subprocess.PIPE, start_new_session=True
    )


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("when", [(), ("early",)], ids=["while it works", "while it imports"])
@pytest.mark.parametrize("shell", ["sh", "sh that stays", "bash"])
def test_a_stage_ends_with_its_dvc(tmp_path, shell, when):
    dvc = start(tmp_path, shell, *when)
    stage = int(dvc.stdout.readline())
    assert is_running(stage)
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()
    deadline = time.monotonic() + 20
    while is_running(stage):
        assert time.monotonic() < deadline, "it outlived its dvc"
        time.sleep(0.05)
    dvc.stdout.close()


def test_one_that_began_after_its_dvc_was_gone_notices_by_the_session(tmp_path):
    code = "from sg3x.files import lifeline\nlifeline.remember_ancestors()\nlifeline._follows = True\nprint(lifeline.is_orphan())"
    for session, mark, expected in ((False, {}, "False"), (True, {}, "True"), (True, {"SG3X_LAUNCHED": "1"}, "False")):
        env = os.environ | {"PYTHONPATH": str(ROOT), "DVC_STAGE": "stage"} | mark
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, text=True, capture_output=True, check=True, start_new_session=session
        )
        assert done.stdout.strip() == expected
