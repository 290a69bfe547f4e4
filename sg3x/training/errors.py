"""Errors of training, each one message that says where, why and what to try."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.files.atomic import NO_ROOM

# What is measured in a step, in the order in which it is computed: the first that is not finite is the culprit.
TERMS = {
    "loss_g": "G's loss",
    "grad_norm_g": "the norm of G's gradient",
    "loss_d": "D's loss",
    "grad_norm_d": "the norm of D's gradient",
    "r1_penalty": "the R1 penalty",
    "grad_norm_r1": "the norm of the R1 gradient",
}


class TrainingError(RuntimeError):
    """The run cannot go on; the message says where, why and what to try."""


def check_finite(totals: dict[str, Any], weights: float, nimg: int, last_good: Path) -> None:
    """Raises TrainingError when a sum of the statistics, or the sum of all weights, is not finite.

    Args:
        totals: `state["statistics"]`: sums since the last line of the history, and which term failed first.
        nimg: the image counter now. last_good: what to go back to.
    """
    step, steps = int(totals["trouble_step"]), int(totals["steps"])
    bad = [name for name, value in totals.items() if not np.isfinite(value)]
    if not (step or bad or not np.isfinite(weights)):
        return
    if step:
        name = list(TERMS)[int(totals["trouble_term"])]
        what = f"{name} ({TERMS[name]}) is not finite since step {step}"
    else:
        what = f"{', '.join(bad) or 'a weight'} is not finite"
    raise TrainingError(
        f"{what}; noticed at {nimg / 1000:.3f} kimg, within the last {steps} steps. "
        f"Last good checkpoint: {last_good}. Nothing of the broken state was saved. Try a larger r1_gamma (twice, four times), "
        "smaller g_lr and d_lr (half), or activation_dtype: float32; then dvc repro"
    )


@contextlib.contextmanager
def explain_write(path: Path, in_scratch: bool = True) -> Iterator[None]:
    """Turns what a file system refuses inside the block into a TrainingError with the place and what to do.

    `in_scratch`: whether `path` is below the folder that SG3X_SCRATCH moves.
    """
    try:
        yield
    except OSError as error:
        raise TrainingError(_refused(path, error.errno, error.strerror or str(error), in_scratch)) from error
    except Exception as error:  # Orbax's storage layer has exceptions of its own
        number = _errno_in(str(error))
        if number is None:
            raise
        raise TrainingError(_refused(path, number, str(error).splitlines()[0], in_scratch)) from error


def _errno_in(text: str) -> int | None:
    said = {
        errno.ENOSPC: ("No space left on device", "OS error 28"),
        errno.EFBIG: ("File too large", "OS error 27"),
        errno.EROFS: ("Read-only file system",),
        errno.EACCES: ("Permission denied",),
        errno.EDQUOT: ("Disk quota exceeded",),
        errno.EMFILE: ("Too many open files", "OS error 24"),
    }
    return next((number for number, phrases in said.items() if any(phrase in text for phrase in phrases)), None)


def _refused(path: Path, number: int | None, said: str, in_scratch: bool) -> str:
    # Progress is looked for where SG3X_SCRATCH points: it has to go along.
    move = ", or move scratch/ to a folder that {} and set SG3X_SCRATCH to that folder" if in_scratch else ""
    if number in NO_ROOM:
        todo = "the disk is full (or a quota or file-size limit is reached): free some space" + move.format("has room")
    elif number in (errno.EROFS, errno.EACCES, errno.EPERM):
        todo = "this folder cannot be written to: change its permissions" + move.format("can be written to")
    elif number in (errno.EMFILE, errno.ENFILE):
        todo = "too many files are open: raise the limit (ulimit -n 4096)"
    else:
        todo = "the file system refuses it"
    return f"cannot write {path}: {todo} ({said}). Earlier checkpoints are intact; dvc repro then goes on from the last one"
