"""Sizes of a checkpoint's arrays, read from their descriptions before anything makes room for them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sg3x.files.printable import printable

_LARGEST_DESCRIPTION = 1 << 16  # bytes
_RATIO = 32  # numbers in memory to bytes on disk, over all arrays: moments that are still zero compress to nothing
_SPARE = 64 * 2**20
_ITEM_BYTES = {"<f4": 4, "<f2": 2, "<f8": 8, "<i4": 4, "<i8": 8, "<u4": 4, "|b1": 1, "|u1": 1, "|i1": 1, "bfloat16": 2}


def check_stored_arrays(folder: Path) -> None:
    """Raises ValueError if the arrays below `folder` would take more memory than their files can be worth.

    Every array is described by a `.zarray` file, whose word alone decides what is allocated; chunks that are not there are
    filled up without a limit.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    on_disk = sum(path.stat().st_size for path in files)
    left = _RATIO * on_disk + _SPARE
    for path in sorted(path for path in files if path.name == ".zarray"):
        shape, chunks, item = _description(path)
        left -= max(math.prod(shape), math.prod(chunks)) * item
        if left < 0:
            raise ValueError(
                f"{path} is damaged: an array of shape {printable(shape, 100)} is more than a checkpoint of {on_disk} bytes holds"
            )


def _description(path: Path) -> tuple[list[int], list[int], int]:
    """Shape, shape of a chunk, and bytes of a number."""
    try:
        if path.stat().st_size > _LARGEST_DESCRIPTION:
            raise ValueError(f"it has more than {_LARGEST_DESCRIPTION} bytes")
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        shape, chunks, kind = found["shape"], found["chunks"], found["dtype"]
        if not isinstance(kind, str) or kind not in _ITEM_BYTES:
            raise ValueError(f"dtype={printable(repr(kind), 60)} is not a number's")
        for name, sizes in (("shape", shape), ("chunks", chunks)):
            whole = isinstance(sizes, list) and all(type(n) is int and 0 <= n < 2**40 for n in sizes)
            if not whole or len(sizes) > 8:
                raise ValueError(f"{name}={printable(repr(sizes), 60)} is not an array's")
        if len(shape) != len(chunks):
            raise ValueError(f"shape={shape} and chunks={chunks} have different lengths")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {printable(error) or type(error).__name__}") from None
    return shape, chunks, _ITEM_BYTES[kind]
