"""What every stage script shares: clear errors, progress lines, fixed places."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sg3x.allocator import compute_in_calling_thread, keep_freed_memory

RAW = Path("data/raw")
ARRAYS = Path("data/arrays")
REFERENCE = Path("data/reference")
CHECKPOINTS = Path("checkpoints")
QUALITY = CHECKPOINTS / "quality"
MODEL = Path("models/generator")
SAMPLES = Path("samples")
RESULTS = Path("results")
FIGURES = RESULTS / "figures"
DOWNLOADS = Path(os.environ.get("SG3X_DOWNLOADS", "data/downloads"))
COMPILED = Path(os.environ.get("SG3X_COMPILED", ".cache/jax"))
SCRATCH = Path(os.environ.get("SG3X_SCRATCH", "scratch"))


def main(stage: Callable[[], None], keep_memory: bool = True) -> None:
    """Runs a stage; a foreseeable problem is one message and exit status 1, an interruption 130, never a traceback.

    `keep_memory`: freed memory is kept from the beginning; otherwise the stage says from when on.
    """
    if keep_memory:
        keep_freed_memory()
    try:
        refuse_links()
        stage()
    except KeyboardInterrupt as stopped:
        print(f"\n{stopped or 'interrupted'}", file=sys.stderr, flush=True)
        sys.exit(130)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if os.environ.get("SG3X_DEBUG"):
            raise
        print(f"\nerror: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


def refuse_links() -> None:
    """Raises ValueError where an output's folder is a link out of the repository: DVC would refuse it after all the work."""
    here = Path.cwd().resolve()
    for place in (CHECKPOINTS, RAW.parent, RAW, ARRAYS, REFERENCE, MODEL.parent, MODEL, SAMPLES, RESULTS):
        if place.is_symlink() and not place.resolve().is_relative_to(here):
            raise ValueError(
                f"{place} is a link to {place.resolve()}, and DVC takes no output outside the repository. Make it a folder, "
                "and move what is large instead: `dvc cache dir /big/disk/cache` with `dvc config cache.type symlink`, and "
                "SG3X_SCRATCH=/big/disk/scratch for unfinished training"
            )


def progress(what: str, every_seconds: float = 2.0) -> Callable[[int, int | None], None]:
    """A progress callback (done, total) that prints a line now and then, with rate and time left."""
    started = last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < every_seconds and done != total:
            return
        last = now
        rate = done / max(now - started, 1e-9)
        left = f", {(total - done) / max(rate, 1e-9):.0f} s left" if total and total > done else ""
        print(f"{what}: {done:,} of {total:,} ({rate:,.1f}/s{left})" if total else f"{what}: {done:,}", flush=True)

    return report


def set_up_jax() -> None:
    """Compiled programs are kept between stages and runs, and run where memory is kept too; results are the same without."""
    import jax

    compute_in_calling_thread()
    jax.config.update("jax_compilation_cache_dir", str(COMPILED.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # a stage has dozens of small ones
