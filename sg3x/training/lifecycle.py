"""What keeps a run whole around the loop: one trainer per scratch directory, stop requests, the parent's death."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and saved what it had."""


class StopRequest:
    """Set by SIGTERM, SIGINT or the parent's death; looked at between steps."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def __bool__(self) -> bool:
        return self.reason is not None

    def set(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
            print(f"stopping after this step and saving ({reason}) …", flush=True)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """SIGTERM and SIGINT ask for a stop instead of killing; a trainer whose `dvc` died does not go on alone."""
    request = StopRequest()
    previous = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        previous[number] = signal.signal(number, lambda n, _: request.set(signal.Signals(n).name))
    finished = threading.Event()
    die_with_parent()
    # DVC starts us through a shell, which may live on as our parent when DVC is killed: watch the one above it too.
    threading.Thread(target=_watch_ancestors, args=(request, finished), daemon=True, name="parents").start()
    try:
        yield request
    finally:
        finished.set()
        for number, handler in previous.items():
            signal.signal(number, handler)


def die_with_parent() -> None:
    """Asks the kernel for SIGTERM when the parent dies; kept over exec. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _watch_ancestors(request: StopRequest, finished: threading.Event) -> None:
    first = _ancestors()
    while not finished.wait(0.5):
        if _ancestors() != first:
            request.set("the process that started this one is gone")
            return


def _ancestors() -> tuple[int, int]:
    """Numbers of the parent and, when the parent is a shell running one command for it (`sh -c`), of the parent's parent."""
    parent = os.getppid()
    try:
        command = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
        if not (command[0].endswith(b"sh") and b"-c" in command[1:2]):
            return parent, 0
        fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
        return parent, int(fields[1])
    except (OSError, ValueError, IndexError):
        return parent, 0


@contextlib.contextmanager
def exclusive(directory: Path, wait_seconds: float = 60.0) -> Iterator[None]:
    """Holds the lock on a scratch directory; waits a little for a trainer that is just stopping, then refuses."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "a+") as file:
        deadline = time.monotonic() + wait_seconds
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    raise RuntimeError(
                        f"another trainer (process {file.read().strip() or '?'}) is running this segment in {directory}; "
                        "wait for it or stop it, then repeat the command"
                    ) from None
                if not told:
                    print("another trainer is at this segment: waiting for it to stop …", flush=True)
                    told = True
                time.sleep(0.2)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
