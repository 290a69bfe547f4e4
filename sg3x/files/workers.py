"""Worker processes that start clean and do not outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor


def process_pool(workers: int) -> ProcessPoolExecutor:
    """An executor of `workers` processes, which end within a second or two when this process is killed.

    They are spawned, not forked: threads of JAX or of a caller do not survive a fork. The calling script therefore needs
    its `if __name__ == "__main__":`. An executor and not a `multiprocessing.Pool`: a Pool replaces workers that die at
    their start without end, and waits for ever.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_follow, initargs=(os.getpid(),))


def _follow(parent: int) -> None:
    """Runs first in every worker. Waiting for work in a pipe, it would never notice that nobody is left to send any."""
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
