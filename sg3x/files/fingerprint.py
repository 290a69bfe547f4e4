"""sha256 of a file, of a folder and of an array: what "the same data" means in this project."""

from __future__ import annotations

import hashlib
import os
from io import BufferedReader
from pathlib import Path

import numpy as np

_BLOCK = 1 << 20


def hash_file(path: Path) -> str:
    """sha256 of the file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hash_open_file(file)


def hash_open_file(file: BufferedReader) -> str:
    """sha256 of the file from its beginning, where it stands afterwards too."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest


def hash_tree(path: Path) -> str:
    """sha256 over the relative names and contents of all files below the folder `path`, as 64 hexadecimal digits.

    Names are sorted by their bytes, with `/` between folders, so neither the order on disk, nor times, nor modes, nor
    the place of the folder matter. Links count as what they point to, empty folders do not count.

    Raises:
        NotADirectoryError: `path` is not a folder.
    """
    path = Path(path)
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder, so it has no tree to hash")
    files = (Path(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names)
    digest = hashlib.sha256()
    for name, file in sorted((os.fsencode(file.relative_to(path).as_posix()), file) for file in files):
        # The length keeps a name from running into what follows it; the content's digest has a fixed length.
        digest.update(len(name).to_bytes(8, "little") + name + bytes.fromhex(hash_file(file)))
    return digest.hexdigest()


class ArrayHash:
    """sha256 of an array that is met piece by piece: of its dtype and shape, then of its bytes in C order."""

    def __init__(self) -> None:
        self._bytes = hashlib.sha256()

    def update(self, piece: bytes) -> None:
        """Takes in the next bytes of the array, in C order."""
        self._bytes.update(piece)

    def finish(self, dtype: np.dtype, shape: tuple[int, ...]) -> str:
        """The array's sha256 as 64 hexadecimal digits; the shape comes last because it is known last."""
        head = f"{np.dtype(dtype).str}{list(shape)}".encode()
        return hashlib.sha256(head + self._bytes.digest()).hexdigest()


def hash_array(array: np.ndarray) -> str:
    """sha256 of dtype, shape and content, as 64 hexadecimal digits; a memory map is read block by block."""
    flat = array.reshape(-1)  # a view, for a memory map in C order
    step = max(1, _BLOCK // array.itemsize)
    digest = ArrayHash()
    for start in range(0, flat.size, step):
        digest.update(flat[start : start + step].tobytes())
    return digest.finish(array.dtype, array.shape)
