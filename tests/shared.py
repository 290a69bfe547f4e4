"""What the workers of one test session share: a folder, what is made once in it, and compiled programs."""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from sg3x.files.compiled import remove_unfinished

if "TESTS_SHARED" not in os.environ:  # the first process of the session: workers inherit it
    os.environ["TESTS_SHARED"] = tempfile.mkdtemp(prefix="sg3x-tests-")
    atexit.register(shutil.rmtree, os.environ["TESTS_SHARED"], ignore_errors=True)

SHARED = Path(os.environ["TESTS_SHARED"])
# Compiled programs survive the session: a second run compiles only what has changed. TESTS_COMPILED puts them elsewhere.
PROGRAMS = Path(os.environ.get("TESTS_COMPILED", Path(__file__).parents[1] / ".cache" / "tests"))


def _mend_programs() -> None:
    """Gives entries of killed runs the time of use that JAX expects beside each, or it would fail at every later entry."""
    for entry in PROGRAMS.glob("*-cache"):
        used = entry.with_name(entry.name.removesuffix("-cache") + "-atime")
        if not used.exists():
            used.write_bytes(time.time_ns().to_bytes(8, "little"))


# With a limit JAX locks the cache, which several processes write. Entries go by a program's content: they hide no difference.
COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": str(PROGRAMS),
    "JAX_COMPILATION_CACHE_MAX_SIZE": str(8 * 2**30),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
remove_unfinished(PROGRAMS)  # of a session that was killed


if "PYTEST_XDIST_WORKER" not in os.environ:
    _mend_programs()


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` that make(folder) fills, whoever comes first; others wait for it."""
    folder, done = SHARED / name, SHARED / f"{name}.done"
    with FileLock(SHARED / f"{name}.lock"):
        if not done.exists():
            make(folder)
            done.touch()
    return folder
