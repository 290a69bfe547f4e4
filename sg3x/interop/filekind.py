"""The kind of a file given in place of a network, from its first bytes, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD = 4096
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a Path has one slash left

_FOLDER = "give the folder it lies in"
# What a file begins with -> what it is. Text is compared in lower case, after blanks.
_BYTES = {
    b"PK": "a zip archive (a newer torch.save, a TorchScript file, or a zip to unpack first), not a snapshot",
    b"\x1f\x8b": "a gzip file: unpack it first (gunzip)",
    b"\xfd7zXZ": "an xz file: unpack it first (unxz)",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it first (unzstd)",
    b"\x89HDF": "an HDF5 file (Keras or TensorFlow): convert it to a StyleGAN3 snapshot first",
    b"\x89PNG": "a PNG picture, not a network",
    b"\xff\xd8\xff": "a JPEG picture, not a network",
    b"\x93NUMPY": "a numpy array, not a network",
}
_TEXT = {
    b"version https://git-lfs": "a Git LFS pointer, not the file: git lfs pull brings it",
    b"<?xml": "an XML page, not a network: the download brought an error message",
    b"<": "an HTML page, not a network: the download brought a web page (open the link in a browser and save the file)",
    b"outs:": "a DVC pointer, not the file: dvc pull brings it",
    b"{": f"a JSON file: if it is config.json of a network, {_FOLDER}",
}


def refuse_url(path: str | Path) -> None:
    """Raises ValueError if `path` is an address: networks are read from files."""
    if _URL.match(str(path)) and not Path(path).exists():
        raise ValueError(f"{path} is a URL: download it first (as with curl -LO), then give the file")


def other_kind(head: bytes) -> str | None:
    """The kind of a file that cannot be a pickle of protocol 2 to 5, in words; None when it may be one."""
    if not head:
        return "an empty file: download it again"
    for start, kind in _BYTES.items():
        if head.startswith(start):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, kind in _TEXT.items():
        if text.startswith(start):
            return kind
    # safetensors: the length of a JSON header, then the header.
    if head[8:9] == b"{":
        return f"a safetensors file: if it belongs to a network with a config.json, {_FOLDER}"
    if head[:1] != b"\x80":
        return "not a pickle of protocol 2 to 5"
    return None


def first_bytes(path: Path) -> bytes:
    """The bytes that `other_kind` looks at."""
    with path.open("rb") as file:
        return file.read(_HEAD)
