"""Common part of all stage scripts: clear errors, progress lines, fixed places."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sg3x.allocator import compute_in_calling_thread, keep_freed_memory
from sg3x.files.compiled import remove_unfinished, replace_damaged
from sg3x.files.environment import check_environment
from sg3x.files.lifeline import follow_parent
from sg3x.files.terminal import plain_output

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


def main(stage: Callable[[], None], keep_memory: bool = True, saves: bool = False) -> None:
    """Runs a stage; a foreseeable problem is one message and exit status 1, an interruption 130, never a traceback.

    Args:
        keep_memory: freed memory is kept from the beginning; otherwise the stage says from when on.
        saves: the stage saves what it has when it is to stop, also when its `dvc` is gone.
    """
    if not os.environ.get("SG3X_DEBUG"):
        sys.unraisablehook = lambda unraisable: None  # what a library's destructor stumbles over after an error
    with plain_output():
        follow_parent(saves)
        _run(stage, keep_memory)


def _run(stage: Callable[[], None], keep_memory: bool) -> None:
    if keep_memory:
        keep_freed_memory()
    try:
        check_environment()
        refuse_links()
        stage()
    except KeyboardInterrupt as stopped:
        print(f"\n{str(stopped) or 'interrupted'}", file=sys.stderr, flush=True)
        sys.exit(130)
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        if os.environ.get("SG3X_DEBUG"):
            raise
        print(f"\nerror: {str(error) or type(error).__name__}", file=sys.stderr, flush=True)
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
    replace_damaged(COMPILED)
    if getattr(jax.config, "jax_compilation_cache_max_size", -1) != -1:  # as JAX_COMPILATION_CACHE_MAX_SIZE says
        remove_unfinished(COMPILED)
