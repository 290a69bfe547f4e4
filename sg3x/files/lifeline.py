"""A process that was started for somebody ends when that somebody is gone.

`dvc` starts a stage through a shell. When `dvc` alone is killed the stage would go on, and write an output that another `dvc` has
made anew meanwhile. So the kernel is asked for a signal when the parent dies, the ancestors are watched, and before an output
takes its place they are looked at once more.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

PR_SET_PDEATHSIG = 1
SECONDS = 0.5  # between two looks at the ancestors
_DVC = "DVC_STAGE"  # in the environment of what DVC starts
_LAUNCHED = "SG3X_LAUNCHED"  # in the environment of what a launcher started, perhaps in a session of its own

Ancestors = tuple[int, int]

_first: Ancestors | None = None
_follows = _saves = False


class Orphaned(RuntimeError):
    """The process that started this one is gone, so its output is not wanted any more."""


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Asks the kernel for a signal when the parent dies; kept over exec. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)


def ancestors() -> Ancestors:
    """Numbers of the parent and, when the parent is a shell running one command for it, of the parent's parent (else 0)."""
    parent = os.getppid()
    try:
        command = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
        if not (command[0].endswith(b"sh") and b"-c" in command[1:4]):  # bash --noprofile --norc -c …
            return parent, 0
        fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
        return parent, int(fields[1])
    except (OSError, ValueError, IndexError):
        return parent, 0


def remember_ancestors() -> None:
    """Notes who started this process. A stage does so before its imports, which take seconds."""
    global _first
    _first = _first or ancestors()


def follow_parent(saves: bool = False) -> None:
    """Ends this process by SIGTERM as soon as one of its ancestors is gone.

    `saves`: SIGTERM is a request to stop and save, so writing goes on after it.
    """
    global _follows, _saves
    remember_ancestors()
    _follows, _saves = True, saves
    die_with_parent()
    # The shell may live on as our parent when DVC is killed: watch the one above it too.
    threading.Thread(target=_watch, daemon=True, name="lifeline").start()


def is_orphan() -> bool:
    """True if somebody is followed and gone. False in a process that follows nobody."""
    return _follows and _first is not None and (ancestors() != _first or _adopted(_first))


def check_parent(writing: str = "its output") -> None:
    """Raises Orphaned when the process that started this one is gone."""
    if is_orphan():
        raise Orphaned(
            f"the process that started this one is gone, so {writing} was not written. Run again (dvc repro)"
        )


def check_before_replacing(path: Path) -> None:
    """Raises Orphaned like `check_parent`, except in a process that saves what it has when it is to stop."""
    if not _saves:
        check_parent(str(path))


def _adopted(first: Ancestors) -> bool:
    """True if DVC was gone before anybody looked: it shares its session with what it starts, who adopts it rarely does."""
    if _DVC not in os.environ or _LAUNCHED in os.environ:
        return False
    try:
        return os.getsid(first[1] or first[0]) != os.getsid(0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False


def _watch() -> None:
    pause = threading.Event()
    while not is_orphan():
        pause.wait(SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    if not _saves:  # SIGTERM may be ignored or caught by a library
        pause.wait(2 * SECONDS)
        os._exit(128 + signal.SIGTERM)
