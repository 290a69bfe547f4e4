"""An unfinished segment's checkpoints, in its scratch directory: written in the background, the newest whole one found again."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sg3x.training.errors import explain_write
from sg3x.training.run import checkpoints
from sg3x.training.run.scratch import checkpoint_path, discard, progress_checkpoints
from sg3x.training.state import State

KEEP = 2  # the newest, and the one before it


class Progress:
    """Checkpoints `nimg-000000012000` in `scratch`. The one before stays until the next is on the disk and verified."""

    def __init__(self, scratch: Path, meta: dict[str, Any]) -> None:
        self.scratch, self.meta = scratch, meta
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self.running: Future[None] | None = None
        self.whole: list[Path] = []  # those that this process read or wrote whole, the newest last

    def newest(self, template: State) -> tuple[State, checkpoints.History] | None:
        """The newest whole checkpoint; a damaged one is left out with a warning. None: there is none."""
        for path in reversed(progress_checkpoints(self.scratch)):
            try:
                state, _, history = checkpoints.load_checkpoint(path, template)
            except checkpoints.CheckpointError as error:
                print(f"warning: {error}; trying the one before it", flush=True)
                continue
            self.whole.append(path)
            return state, history
        return None

    def last_good(self) -> Path | None:
        """The newest one that this process read or wrote whole. None: there is none."""
        return self.whole[-1] if self.whole else None

    def busy(self) -> bool:
        """True while one is being written. Raises the error of the one before."""
        if self.running is not None and self.running.done():
            running, self.running = self.running, None
            running.result()
        return self.running is not None

    def save(self, state: State, nimg: int, history: checkpoints.History, wait: bool = False) -> None:
        """Writes host arrays `state` in the background; `wait`: and returns when that is done.

        Raises:
            TrainingError: it, or the one before it, cannot be written.
        """
        self.finish()
        self.running = self.pool.submit(self._write, state, nimg, list(history))
        if wait:
            self.finish()

    def finish(self) -> None:
        """Waits for what is being written."""
        if self.running is not None:
            running, self.running = self.running, None
            running.result()

    def close(self) -> None:
        self.pool.shutdown(wait=True)

    def _write(self, state: State, nimg: int, history: checkpoints.History) -> None:
        path = checkpoint_path(self.scratch, nimg)
        with explain_write(path):
            checkpoints.save_checkpoint(path, state, {**self.meta, "nimg": nimg}, history)
        checkpoints.verify(path)
        self.whole = [*(p for p in self.whole if p != path), path][-KEEP:]
        for other in progress_checkpoints(self.scratch):
            if other not in self.whole:  # older, or damaged and passed over by `newest`, however new its name
                discard(other)
