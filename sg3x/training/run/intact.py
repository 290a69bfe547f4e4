"""A checkpoint's files are taken for what was written only when they are: whatever is wrong with one is a `CheckpointError`.

Nothing of a damaged file reaches Orbax, and no header of an array is believed that its files on the disk do not bear out.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, TypeGuard

from sg3x.files.fingerprint import hash_file

MANIFEST, META, HISTORY, STATE = "manifest.json", "meta.json", "history.tsv", "state"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEADER = ".zarray"


class CheckpointError(ValueError):
    """A checkpoint that is damaged, missing or does not fit; the message names what differs."""


def read_text(path: Path) -> str:
    """A file's text. Raises CheckpointError, with its name, when it cannot be read as that."""
    try:
        if path.exists() and not path.is_file():  # a folder; a pipe, of which reading would wait for ever
            raise CheckpointError(f"{path} is damaged: it is no file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises CheckpointError, with its name, for anything else."""
    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is damaged: it holds no JSON object")
    return values


def verify(path: Path) -> None:
    """Raises CheckpointError unless all files are there with the bytes that were written."""
    manifest = read_object(path / MANIFEST)
    try:
        there = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}
    except OSError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    for name in sorted({META, HISTORY, *manifest} - there.keys()):
        raise CheckpointError(f"{path} is damaged: {_shown(name)}, which {MANIFEST} lists, is missing")
    # What lies beside the state is nobody's business; what lies in it would be read.
    for name in sorted(there.keys() - manifest.keys() - {MANIFEST}):
        if name in (META, HISTORY) or name.startswith(f"{STATE}/"):
            raise CheckpointError(f"{path} is damaged: {MANIFEST} does not list {_shown(name)}")
    for name, digest in manifest.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise CheckpointError(f"{path} is damaged: {MANIFEST} has no sha256 of {_shown(name)}")
        if _hash(there[name]) != digest:
            raise CheckpointError(
                f"{path} is damaged: {_shown(name)} is not the file that was written, by its sha256 in {MANIFEST}"
            )


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def check_arrays(folder: Path) -> None:
    """Raises CheckpointError unless every stored array below `folder` has all its pieces, each no larger than the array.

    A missing piece would be read as zeros, and room is made for a piece before it is read.
    """
    for file in sorted(folder.rglob(_HEADER)):
        header = read_object(file)
        shape, chunks = header.get("shape"), header.get("chunks")
        if not (_lengths(shape) and _lengths(chunks) and len(shape) == len(chunks)):
            raise CheckpointError(f"{file} is damaged: shape {shape!r}, chunks {chunks!r}")
        if any(chunk < 1 or chunk > max(size, 1) for size, chunk in zip(shape, chunks, strict=True)):
            raise CheckpointError(f"{file} is damaged: chunks {chunks} of an array of {shape}")
        pieces = math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
        there = sum(1 for p in file.parent.iterdir() if p.is_file() and p.name != _HEADER)
        if pieces != there:
            raise CheckpointError(f"{file} is damaged: {pieces} pieces by its shape {shape}, {there} files are there")


def _lengths(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)
