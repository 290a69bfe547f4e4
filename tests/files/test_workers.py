"""Worker processes end with their parent, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, time
from sg3x.files.workers import process_pool

if __name__ == "__main__":
    with process_pool(2, "waiting") as pool:
        print(*pool.map(time_and_pid, range(8)), flush=True)
        time.sleep(60)
"""
HELPER = "def time_and_pid(_):\n    time.sleep(0.2)\n    return os.getpid()\n\n"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_of_a_killed_parent_end(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("if __name__", HELPER + "if __name__", 1))
    parent = subprocess.Popen(
        [sys.executable, script], env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    workers = {int(pid) for pid in parent.stdout.readline().split()}
    assert workers and all(alive(pid) for pid in workers)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(alive(pid) for pid in workers)
