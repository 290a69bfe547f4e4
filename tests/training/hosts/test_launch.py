"""How several processes are stopped by hand."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from sg3x.training.hosts.launch import PATIENCE, launch_environment

MPIRUN = ("--allow-run-as-root", "--oversubscribe", "--mca", "btl", "self,tcp", "-n", "2")

SAVES_SLOWLY = """
import os, pathlib, signal, sys, time
def save(number, _):
    time.sleep(2.5)
    pathlib.Path(f"saved-{os.getpid()}").touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
pathlib.Path(f"ready-{os.getpid()}").touch()
time.sleep(100)
"""


def test_ctrl_c_to_mpirun_leaves_time_to_save(tmp_path):
    """It sends SIGTERM, and SIGKILL after a second if it is not told otherwise."""
    mpirun = shutil.which("mpirun") or pytest.skip("no Open MPI here")
    assert launch_environment({})[PATIENCE] == "30"
    env = launch_environment({**os.environ, PATIENCE: "5"})  # what the user says holds
    with subprocess.Popen([mpirun, *MPIRUN, sys.executable, "-c", SAVES_SLOWLY], env=env, cwd=tmp_path) as running:
        end = time.monotonic() + 100
        while len(list(tmp_path.glob("ready-*"))) < 2:  # files: what two processes print, mpirun mixes
            assert running.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=100) != 0
    assert len(list(tmp_path.glob("saved-*"))) == 2
