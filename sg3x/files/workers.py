"""Worker processes that start clean and do not outlive their parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from sg3x.files.lifeline import die_with_parent


@contextlib.contextmanager
def process_pool(workers: int, doing: str, otherwise: str = "") -> Iterator[ProcessPoolExecutor]:
    """An executor of `workers` processes, which end at once, or within a second, when this process is killed; what is
    still to be done when the block ends is not begun.

    They are spawned, not forked: threads of JAX or of a caller do not survive a fork. The calling script therefore needs
    its `if __name__ == "__main__":`. An executor and not a `multiprocessing.Pool`: a Pool replaces workers that die at
    their start without end, and waits for ever.

    Raises:
        RuntimeError: a worker died while `doing`; the message ends in `otherwise`.
    """
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow, initargs=(os.getpid(),))
    try:
        yield executor
    except BrokenProcessPool as error:
        raise RuntimeError(f"one of {workers} workers died while {doing} (out of memory?){otherwise}") from error
    finally:
        executor.shutdown(cancel_futures=True)


def _follow(parent: int) -> None:
    """Runs first in every worker. Waiting for work in a pipe, it would never notice that nobody is left to send any."""
    die_with_parent(signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
