"""Zips of pictures: which members there are, by harmless names, and no more bytes than were agreed on."""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sg3x.data.names import printable
from sg3x.data.pictures import HEAD_BYTES

_USUAL_RATIO = 100  # pictures are compressed already; plain bitmaps of few colours shrink to a hundredth
_ALWAYS_BYTES = 100_000_000
_ENCRYPTED = 1
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, UnicodeError, struct.error)


@dataclass
class Archive:
    """An open zip of the user's, or one that was downloaded."""

    path: Path
    param: str  # the parameter that names it
    opened: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo] = field(default_factory=dict)  # by cleaned name
    left_out: dict[str, str] = field(default_factory=dict)  # reason, by name

    def head(self, name: str) -> bytes:
        """The first bytes of a member; none of an encrypted one."""
        if self.members[name].flag_bits & _ENCRYPTED:
            return b""
        with self.opened.open(self.members[name]) as packed:
            return packed.read(HEAD_BYTES)

    def unpack(self, name: str, target: Path) -> None:
        """Unpacks one member; zipfile stops at its declared size, and compares its CRC at the end."""
        with self.opened.open(self.members[name]) as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)

    def check(self, names: list[str], max_gb: float | None) -> None:
        """Raises ValueError when one of the members is encrypted, or all together would unpack to too many bytes."""
        locked = [name for name in names if self.members[name].flag_bits & _ENCRYPTED]
        if locked:
            raise ValueError(
                f"{self.path} ({self.param}) is encrypted, from {printable(locked[0])} on: unpack it, and give the folder"
            )
        total, packed = sum(self.members[name].file_size for name in names), self.path.stat().st_size
        most = max(_ALWAYS_BYTES, _USUAL_RATIO * packed) if max_gb is None else max_gb * 1e9
        if total > most:
            why = f"{_USUAL_RATIO} times its size and {_ALWAYS_BYTES / 1e9} GB" if max_gb is None else "fetch.max_gb"
            raise ValueError(
                f"{self.path} ({self.param}), {packed / 1e9:.4f} GB, would unpack to {total / 1e9:.4f} GB, which is more "
                f"than {why} allow: nothing was unpacked. If you trust it, set fetch.max_gb to {total / 1e9 + 0.001:.3f}"
            )


@contextmanager
def open_archive(path: Path, param: str, file: BinaryIO | None = None) -> Iterator[Archive]:
    """Opens a zip by its path or as `file`; any damage that is met inside the block becomes one clear ValueError."""
    try:
        with zipfile.ZipFile(file or path) as opened:
            archive = Archive(path, param, opened)
            _collect(archive)
            yield archive
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; the one without a number is bzip2's way to say that the data are damaged
        again = (
            "Delete it and run again to download it anew" if param == "fetch.url" else "Give another zip, or a folder"
        )
        raise ValueError(f"{path} ({param}) is not a zip that can be unpacked: {error}. {again}") from error


def _collect(archive: Archive) -> None:
    """Notes a zip's files by their cleaned names: no folders, no links; of several with one name, the last."""
    earlier: dict[str, int] = {}
    for info in archive.opened.infolist():
        if info.is_dir():
            continue
        name = _clean(info.filename, archive.path)
        if stat.S_ISLNK(info.external_attr >> 16):
            archive.left_out[name] = "a link, and those in zips can lead anywhere"
        elif name:
            earlier[name] = earlier.get(name, -1) + 1
            archive.members[name] = info
    for name, count in earlier.items():
        if count:
            archive.left_out[name] = (
                f"{count} members of this name; a later one of the same name is the one that counts"
            )


def _clean(name: str, archive: Path) -> str:
    """The member's name with `/` between folders and without empty steps; one that leads out of the zip is refused."""
    parts = name.replace("\\", "/")  # some Windows programs write them so
    if parts.startswith("/") or ".." in parts.split("/") or re.match(r"[A-Za-z]:/", parts):
        raise ValueError(f"{archive} holds a file called {name!r}, which leads out of it: not unpacked")
    return "/".join(part for part in parts.split("/") if part not in ("", "."))
