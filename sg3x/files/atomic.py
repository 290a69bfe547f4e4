"""Files and folders that are either complete or not there.

Everything is written beside its place and renamed at the end, never in place: DVC may have checked an out out as
read-only hard links into its cache, and writing through one would change the cache.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota, file-size limit


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder; nothing happens when `path` is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, and puts it in the place of `out` when the block ends without an exception.

    The folder is `.NAME.partial` beside `out`; after an exception it is removed and `out` is as it was. What a killed
    run left there is removed by the next one.
    """
    out = Path(out)
    partial, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    remove(old)
    if out.exists() or out.is_symlink():
        out.rename(old)  # a folder cannot be renamed onto a full one, so the old one steps aside first
    partial.rename(out)
    remove(old)


def atomic_write(path: Path, content: bytes) -> None:
    """Writes `content` to `path` by way of `.NAME.partial` beside it and a rename."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    remove(partial)
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except BaseException:
        remove(partial)
        raise


@contextlib.contextmanager
def explain_disk_full(path: Path, doing: str) -> Iterator[None]:
    """Turns `NO_ROOM` inside the block into an OSError that says what was being done, and where."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(
            error.errno,
            f"the disk is full while {doing} (or a quota or file-size limit is reached): free some space and run again",
            str(path),
        ) from error
