"""One trainer per scratch directory."""

from __future__ import annotations

import contextlib
from pathlib import Path

from sg3x.files import locks

LOCK = "lock"


def exclusive(directory: Path, wait_seconds: float = 60.0) -> contextlib.AbstractContextManager[None]:
    """Holds the lock on a scratch directory; waits a little for a trainer that is just stopping, then refuses."""
    return locks.exclusive(
        directory / LOCK,
        refusal=f"another trainer (process {{holder}}) is running this segment in {directory}; "
        "wait for it or stop it, then repeat the command",
        waiting=lambda: print("another trainer is at this segment: waiting for it to stop …", flush=True),
        wait_seconds=wait_seconds,
    )
