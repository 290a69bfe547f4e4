"""JAX's folder of compiled programs: damaged entries are replaced, which JAX alone never does.

JAX writes an entry in place, so a kill or a full disk leaves half of one; it reads an entry, warns, compiles, and does not
write since a file of that name is there.
"""

from __future__ import annotations

import contextlib
import glob
import importlib
import re
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from filelock import FileLock

ENTRY, USED = (
    "-cache",
    "-atime",
)  # JAX's endings: a program, and when it was last used (with a limit of the folder's size)
_ZSTD = b"\x28\xb5\x2f\xfd"
_READING = "Error reading persistent compilation cache entry"
_WRITING = "Error writing persistent compilation cache entry"


def replace_damaged(folder: Path) -> None:
    """From now on, an entry that JAX cannot read is removed before JAX compiles the program, so that it writes it again.

    JAX's warning about it, the only sign there is, becomes one line.
    """
    show = warnings.showwarning

    def heard(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        text = str(message)
        if text.startswith(_READING):
            removed = remove_damaged(folder, _module(text))
            print(f"note: damaged programs in {folder} are compiled anew: {', '.join(sorted(removed))}", flush=True)
        elif text.startswith(_WRITING):
            print(f"note: {_module(text)} cannot be kept in {folder} ({text.partition(': ')[2]})", flush=True)
        else:
            show(message, category, filename, lineno, file, line)

    for start in (_READING, _WRITING):
        warnings.filterwarnings("always", message=start)
    warnings.showwarning = heard


def remove_damaged(folder: Path, module: str) -> set[str]:
    """Removes all entries that cannot be unpacked, or where there is none those of `module`; returns their programs."""
    entries = sorted(folder.glob(f"*{ENTRY}"))
    damaged = [entry for entry in entries if not _is_whole(entry)]
    _remove(damaged or folder.glob(f"{glob.escape(module)}-*{ENTRY}"))
    return {entry.name.partition("-")[0] for entry in damaged} or {module}


def remove_unfinished(folder: Path) -> None:
    """Removes entries without a note of their last use, in a folder of limited size.

    The note is written after the entry, so a kill came between; without it JAX fails to write anything at all.
    """
    if folder.is_dir():
        with FileLock(folder / ".lockfile"):
            _remove(e for e in folder.glob(f"*{ENTRY}") if not _used(e).exists() or _used(e).stat().st_size != 8)


def _module(warning: str) -> str:
    found = re.search(r"entry for '(.*?)'", warning)
    return found[1] if found else "a program"


def _used(entry: Path) -> Path:
    return entry.with_name(entry.name.removesuffix(ENTRY) + USED)


def _remove(entries: Iterable[Path]) -> None:
    for entry in entries:
        for file in (entry, _used(entry)):
            file.unlink(missing_ok=True)


def _is_whole(entry: Path) -> bool:
    """True if the entry can be unpacked. Its kind of compression depends on what JAX found installed."""
    with contextlib.suppress(FileNotFoundError):  # removed by another process
        content = entry.read_bytes()
        try:
            if content.startswith(_ZSTD):
                return _unzstd(content)
            zlib.decompress(content)
        except (zlib.error, ValueError):
            return False
    return True


def _unzstd(content: bytes) -> bool:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            zstd = importlib.import_module(name)
        except ImportError:
            continue
        error = getattr(zstd, "ZstdError", ValueError)
        try:
            unpack = zstd.decompress if hasattr(zstd, "decompress") else zstd.ZstdDecompressor().decompress
            return bool(unpack(content))
        except error:
            return False
    return True  # written for another Python: this one does not read it
