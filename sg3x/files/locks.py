"""One process at a time. The kernel frees a lock however the process that holds it ends."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_PAUSE = 0.2  # seconds between two tries


@contextlib.contextmanager
def exclusive(
    path: Path,
    *,
    refusal: str,
    waiting: Callable[[], object],
    wait_seconds: float = math.inf,
    remove: bool = False,
) -> Iterator[None]:
    """Holds the lock file `path`, which has the holder's process id in it.

    Args:
        path: its folder is made. What a removed folder's lock was held for keeps nobody out of the folder that is there now.
        refusal: message when the lock is not free in time; `{holder}` stands for the process that has it.
        waiting: called once when another process has it.
        wait_seconds: how long to wait for it.
        remove: whether the file is removed afterwards.

    Raises:
        RuntimeError: another process has it for longer than that.
        PermissionError: the file belongs to another user.
    """
    deadline, told = time.monotonic() + wait_seconds, False
    while (lock := _try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(refusal.replace("{holder}", _holder(path)))
        if not told:
            waiting()
            told = True
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        if remove:  # while it is held: who waits for it notices, and takes the next one
            path.unlink(missing_ok=True)
        lock.release()


def _try_lock(path: Path) -> FileLock | None:
    """The lock, held; None: another one has it."""
    held: list[os.stat_result] = []

    def note(handle: int) -> None:
        held.append(os.fstat(handle))
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())

    while True:
        lock = FileLock(path, blocking=False, on_acquired=note)
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile, by one that has finished
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
                if os.path.samestat(held[-1], os.stat(path)):
                    return lock
            except Timeout:
                return None
            except PermissionError as error:
                raise PermissionError(error.errno, _not_ours(path), str(path)) from None
        lock.release()


def _not_ours(path: Path) -> str:
    there = path if path.exists() else path.parent
    return f"cannot be locked by this user (user {os.getuid()}): {there} belongs to {_owner(there)}"


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return f"user {path.stat().st_uid}" if path.exists() else "another user"


def _holder(path: Path) -> str:
    try:
        return path.read_text().strip() or "?"
    except OSError:
        return "?"
