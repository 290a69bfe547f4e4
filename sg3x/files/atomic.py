"""Files and folders that are either complete or not there.

Everything is written beside its place and renamed at the end, never in place: DVC may have checked an out out as
read-only hard links into its cache, and writing through one would change the cache.

What is written beside `NAME` is called `.NAME.HOST-PID-N.partial`, so that no two processes share it. What a killed process left
there goes with the next one that writes `NAME`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sg3x.files.lifeline import check_before_replacing
from sg3x.files.locks import exclusive

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota, file-size limit
WAIT_SECONDS = 60.0  # for another writer of the same folder: one that is just stopping
_NOBODYS = (".DS_Store", "Thumbs.db")  # file managers leave them anywhere
_HOST = re.sub("[^A-Za-z0-9]", "_", socket.gethostname())[:16]
_MARK = r"(?P<host>[A-Za-z0-9_]+)-(?P<pid>[0-9]+)-[0-9]+\.(partial|old)"
_numbers = itertools.count()
_swept: set[Path] = set()


@dataclass(frozen=True)
class Made:
    """A kind of folder that one command writes whole, so that it may replace an older one."""

    what: str  # in messages: "a network"
    files: tuple[str, ...]  # patterns of all relative names in it; * stands for any text, / included
    mark: str | None = None  # a file that is always there
    recognise: Callable[[Path], bool] = lambda folder: True  # looks closer


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder; nothing happens when `path` is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_replaceable(out: Path, made: Made) -> None:
    """Raises ValueError unless a folder of the kind `made` may take the place `out`.

    The place may be free, an empty folder, or a folder of that very kind and nothing else in it.
    """
    out = Path(os.path.abspath(out))
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise _refusal(out, made, "is a link to a place that is not there" if out.is_symlink() else "is a file")
    if Path.cwd().is_relative_to(out.resolve()):
        raise _refusal(
            out, made, "is the current folder" if Path.cwd() == out.resolve() else "holds the current folder"
        )
    names = list(itertools.islice(_names(out), 1))
    foreign = list(itertools.islice((name for name in _names(out) if not _belongs(name, made)), 3))
    if foreign:
        raise _refusal(out, made, f"holds {', '.join(foreign)}")
    if names and not ((made.mark is None or (out / made.mark).is_file()) and made.recognise(out)):
        raise _refusal(out, made, f"is not {made.what}")


def _refusal(out: Path, made: Made, why: str) -> ValueError:
    return ValueError(f"{out} {why}: nothing was replaced. Allowed is a new or empty folder, or {made.what}")


def _names(folder: Path) -> Iterator[str]:
    """Relative names of everything below `folder` but real folders."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in sorted(files + links))


def _belongs(name: str, made: Made) -> bool:
    return os.path.basename(name) in _NOBODYS or any(fnmatchcase(name, pattern) for pattern in made.files)


def check_count(folder: Path, pattern: str, expected: int, what: str) -> None:
    """Raises RuntimeError unless so many files below `folder` fit the pattern: what is handed over is what was asked for."""
    found = sum(1 for path in folder.glob(pattern) if path.is_file())
    if found != expected:
        raise RuntimeError(f"{folder} has {found} {what}, it should have {expected}: run again")


@contextlib.contextmanager
def atomic_folder(out: Path, made: Made | None, doing: str = "") -> Iterator[Path]:
    """Gives an empty folder to fill, and puts it in the place of `out` when the block ends without an exception.

    After an exception `out` is as it was. One process at a time writes `out`: another one waits a minute, then refuses.

    Args:
        out: the folder.
        made: what may be replaced. None: anything, as the caller owns the place.
        doing: what to call the work in the message of a full disk.

    Raises:
        ValueError: `out` is something else.
        RuntimeError: another process is writing it.
        Orphaned: the process that started this one is gone.
        OSError: the disk is full.
    """
    shown, out = out, Path(os.path.abspath(out))
    if made is not None:
        check_replaceable(out, made)
    out.parent.mkdir(parents=True, exist_ok=True)
    with _only_writer(out):
        _clear(out)
        partial = _beside(out, "partial")
        try:
            with explain_disk_full(shown, doing or f"writing {shown}"):
                partial.mkdir()
                yield partial
            check_before_replacing(out)
            if made is not None:
                check_replaceable(out, made)
            _put(partial, out)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def atomic_write(path: Path, content: bytes) -> None:
    """Writes `content` to `path` by way of a file beside it and a rename."""
    path = Path(path)
    _sweep(path.parent)
    partial = _beside(path, "partial")
    try:
        with explain_disk_full(path, f"writing {path}"):
            partial.write_bytes(content)
        check_before_replacing(path)
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
        if error.errno not in NO_ROOM or "free some space" in str(error):
            raise
        raise OSError(
            error.errno,
            f"the disk is full while {doing} (or a quota or file-size limit is reached): free some space and run again",
            str(error.filename or path),
        ) from error


def _only_writer(out: Path) -> contextlib.AbstractContextManager[None]:
    return exclusive(
        out.with_name(f".{out.name}.lock"),
        refusal=f"another process ({{holder}}) is writing {out}: wait for it or stop it, then repeat the command",
        waiting=lambda: print(f"another process is writing {out}: waiting for it …", flush=True),
        wait_seconds=WAIT_SECONDS,
        remove=True,
    )


def _put(partial: Path, out: Path) -> None:
    """Renames `partial` to `out`. A folder cannot be renamed onto a full one, so the old one steps aside first."""
    old = _beside(out, "old")
    replaced = os.path.lexists(out)
    if replaced:
        out.rename(old)
    try:
        partial.rename(out)
    except BaseException:
        if replaced:
            old.rename(out)
        raise
    remove(old)


def _clear(out: Path) -> None:
    """Removes what killed processes left beside `out`; an old one that had stepped aside goes back."""
    for leftover in _leftovers(out):
        if leftover.suffix == ".old" and not os.path.lexists(out):
            leftover.rename(out)
        else:
            with contextlib.suppress(OSError):  # a worker of the killed one may still be writing
                remove(leftover)


def _beside(path: Path, suffix: str) -> Path:
    """A name beside `path` that nobody else has."""
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{next(_numbers)}.{suffix}")


def _leftovers(path: Path) -> list[Path]:
    """Remains beside the folder `path` of processes that wrote it."""
    pattern = re.compile(re.escape(f".{path.name}.") + _MARK)
    return [path.parent / name for name in sorted(os.listdir(path.parent)) if pattern.fullmatch(name)]


def _sweep(folder: Path) -> None:
    """Removes the half-written files of dead processes from `folder`, once in this process."""
    if folder in _swept or not folder.is_dir():
        return
    _swept.add(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            mark = re.fullmatch(r"\..+\." + _MARK, entry.name)
            if mark and mark["host"] == _HOST and entry.is_file(follow_symlinks=False) and _is_dead(int(mark["pid"])):
                Path(entry).unlink(missing_ok=True)


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
