"""How several processes are stopped by hand."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from sg3x.training.launch import PATIENCE, launch_environment

MPIRUN = ("--allow-run-as-root", "--oversubscribe", "--mca", "btl", "self,tcp", "-n", "2")


SAVES_SLOWLY = """
import signal, sys, time
def save(number, _):
    time.sleep(2.5)
    print("saved", flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(100)
"""


def test_ctrl_c_to_mpirun_leaves_time_to_save():
    """It sends SIGTERM, and SIGKILL after a second if it is not told otherwise."""
    mpirun = shutil.which("mpirun") or pytest.skip("no Open MPI here")
    assert launch_environment({})[PATIENCE] == "30"
    env = launch_environment({**os.environ, PATIENCE: "5"})  # what the user says holds
    command = [mpirun, *MPIRUN, sys.executable, "-c", SAVES_SLOWLY]
    with subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        assert running.stdout is not None
        for _ in range(2):
            assert "ready" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=100)
    assert output.count("saved") == 2 and running.returncode != 0
