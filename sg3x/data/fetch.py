"""Sources of raw pictures: AFHQv2's zip by URL, or the user's own folder or zip, into one layout.

    OUT/train/CLASS/*      the pictures, with the names they came with
    OUT/source.json        what they are: source, URL or base name, sha256, class, number of pictures, names, what was left out

The bytes of OUT depend on the pictures only, not on when or where it was written. Pictures are copied, never linked,
and known by their first bytes or their suffix; whether they can be read as a whole is for `prepare` to find out.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from sg3x.data.archives import open_archive
from sg3x.data.names import check_class_name, choose, is_hidden, printable
from sg3x.data.pictures import HEAD_BYTES, is_picture_name, kind_of
from sg3x.data.raw import check_handed_over, write_record
from sg3x.files.atomic import Made, atomic_folder
from sg3x.files.download import (
    ChecksumError,
    DownloadError,
    Progress,
    check_sha256,
    download_path,
    open_download,
    public_url,
)
from sg3x.files.fingerprint import hash_open_file, hash_tree

__all__ = ["check_class_name", "choose", "fetch_path", "fetch_zip_url"]

# What `fetch` makes: these functions, or the toy cats.
FETCHED = Made("pictures that the fetch stage wrote", ("train/*/*", "source.json", "attributes.json"))

# TIFFs by their first bytes, whose pictures are not what a decoder finds first in them: previews, or a sensor's pattern.
_CAMERA_RAW = (
    ".dng",
    ".nef",
    ".nrw",
    ".cr2",
    ".arw",
    ".srf",
    ".sr2",
    ".pef",
    ".orf",
    ".rw2",
    ".3fr",
    ".iiq",
    ".dcr",
    ".kdc",
)
_NO_PICTURE = "not a picture"


@dataclass
class _Source:
    """Members of a folder or zip, and a way to open them."""

    names: list[str]
    head: Callable[[str], bytes]  # the first bytes of a file
    copy: Callable[[str, Path], None]  # writes a file's content to a path
    left_out: dict[str, str] = field(default_factory=dict)  # files that are not looked at: reason by name

    def is_picture(self, name: str) -> bool:
        """By its suffix, or else by its first bytes."""
        if name.lower().endswith(_CAMERA_RAW):
            return False
        return is_picture_name(name) or kind_of(self.head(name)) is not None


def fetch_path(source: Path, out: Path, *, picture_class: str, max_gb: float | None = None) -> dict[str, Any]:
    """Copies the pictures of a folder or zip of the user's into `out`, replacing what was there.

    Takes `train/CLASS/`, else `CLASS/`, else every picture at any depth, from `source` or its only top-level folder. A picture
    in a subfolder `a/b.png` becomes `a__b.png`. Where two names would be equal (but for upper and lower case), both get a
    piece of their path's sha256, and so does a name that is too long or not UTF-8. Hidden files are passed over; every other
    file that is not taken is named in source.json.

    Args:
        max_gb: of a zip, at most so many GB are unpacked; None: what is usual for its size.

    Returns:
        The content of `source.json`; sha256 is that of the zip, or for a folder that of the pictures taken.

    Raises:
        ValueError: `source` is missing, overlaps `out`, is neither a folder nor a sound zip, or holds no pictures.
        OSError: the disk is full.
    """
    source, out = Path(source), Path(out)
    check_class_name(picture_class)
    if source.is_dir():
        _check_apart(source, out)
        with _filling(out) as partial:
            return _take(_of_folder(source), partial, picture_class, "path", source)
    if not source.is_file():
        raise ValueError(
            f"fetch.path is {str(source)!r}, which is not there; give a folder of pictures or a zip of one"
        )
    with open(source, "rb") as file, _filling(out) as partial:
        return _unpack(source, file, partial, picture_class, "path", source, "fetch.path", hash_open_file(file), max_gb)


def fetch_zip_url(
    url: str,
    out: Path,
    *,
    sha256: str | None,
    picture_class: str,
    local_zip: Path | None,
    downloads: Path,
    max_gb: float | None = None,
    progress: Progress | None = None,
    retries: int = 5,
    backoff: float = 1.0,
) -> dict[str, Any]:
    """Unpacks `train/CLASS/` of AFHQv2's zip into `out`, replacing what was there.

    The zip is `local_zip` if given, else `url`, downloaded once into the folder `downloads` (see `download_file` for
    `progress`, `retries`, `backoff`, and what is left there after an interruption); for `max_gb` see `fetch_path`.

    Returns:
        The content of `source.json`; with the sha256 that the zip has.

    Raises:
        DownloadError: the zip cannot be had.
        ChecksumError: it is not the one that `sha256` asks for; nothing is unpacked.
        ValueError: not a sound zip, or no `train/CLASS/` in it.
        OSError: the disk is full.
    """
    out = Path(out)
    check_class_name(picture_class)
    origin: Path | str
    if local_zip is not None:
        archive, param, origin = Path(local_zip), "fetch.zip", Path(local_zip)
        source = _open_local(archive, sha256)
    else:
        archive, param, origin = download_path(downloads, url), "fetch.url", public_url(url)
        source = _download(url, archive, sha256, progress, retries, backoff)
    # The open file: what has this name may be another by now, in a folder that several checkouts share.
    with source as (file, found), _filling(out) as partial:
        return _unpack(archive, file, partial, picture_class, "afhqv2", origin, param, found, max_gb)


def _of_folder(root: Path) -> _Source:
    """The files below `root`, hidden ones aside; linked folders are entered, but no folder twice."""
    found = _Source([], lambda name: _head(root / name), lambda name, to: _copy_file(root / name, to))
    seen = set()

    def unlisted(error: OSError) -> None:
        found.left_out[Path(error.filename).relative_to(root).as_posix() + "/"] = f"cannot be listed: {error.strerror}"

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=unlisted):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()  # which of two links to one folder is entered must not depend on the disk
        for name in (Path(folder, name).relative_to(root).as_posix() for name in files):
            if is_hidden(name):
                continue
            if reason := _cannot_be_read(root / name):
                found.left_out[name] = reason
            else:
                found.names.append(name)
    return found


def _cannot_be_read(path: Path) -> str:
    """Why a file cannot be copied; "" when nothing speaks against it. A pipe would be waited for, without end."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a link that leads nowhere" if path.is_symlink() else f"cannot be opened: {error.strerror}"
    if not stat.S_ISREG(mode):
        return "no regular file"
    return "" if os.access(path, os.R_OK) else "cannot be opened: Permission denied"


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def _check_apart(source: Path, out: Path) -> None:
    """DVC deletes `out` before the stage runs: pictures that live there would be lost."""
    inner, outer = out.resolve(), source.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ValueError(f"fetch.path is {str(source)!r}, which overlaps the stage's output {out}; give another folder")


@contextmanager
def _open_local(archive: Path, sha256: str | None) -> Iterator[tuple[BufferedReader, str]]:
    """The user's zip, open, and its sha256 after comparing it with the one asked for."""
    wanted = check_sha256(sha256, "fetch.sha256")
    if not archive.is_file():
        raise ValueError(f"fetch.zip is {str(archive)!r}, which is not a file; give a zip, or null to download it")
    with open(archive, "rb") as file:
        found = hash_open_file(file)
        if wanted is not None and found != wanted:
            raise ChecksumError(
                f"{archive} has sha256 {found}, but fetch.sha256 is {wanted}; nothing was unpacked. If you trust the "
                "file, set fetch.sha256 to its sum, or to null"
            )
        yield file, found


@contextmanager
def _download(
    url: str, archive: Path, sha256: str | None, progress: Progress | None, retries: int, backoff: float
) -> Iterator[tuple[BufferedReader, str]]:
    """Downloads AFHQv2's zip, and says on failure how to do without it. Gives it open, and its sha256."""
    names: dict[str, Any] = {"what": archive.name, "param": "fetch.zip", "sha256_param": "fetch.sha256"}
    how: dict[str, Any] = {"progress": progress, "retries": retries, "backoff": backoff}
    try:
        with open_download(url, archive, sha256=sha256, **names, **how) as opened:
            yield opened
    except ChecksumError:
        raise
    except DownloadError as error:
        raise DownloadError(f"{error}, or fetch.source to toycats for the built-in pictures") from error


@contextmanager
def _filling(out: Path) -> Iterator[Path]:
    with atomic_folder(out, FETCHED, "copying pictures") as partial:
        yield partial


def _copy_file(source: Path, target: Path) -> None:
    """Copies content only: a read-only picture must not become a read-only output."""
    before = source.stat()
    shutil.copyfile(source, target)
    after = source.stat()
    if (before.st_mtime_ns, before.st_size, before.st_ino) != (after.st_mtime_ns, after.st_size, after.st_ino):
        raise ValueError(f"{source} changed while it was copied: run the stage again when nothing writes there")


def _unpack(
    path: Path,
    file: BufferedReader,
    partial: Path,
    picture_class: str,
    kind: str,
    origin: Path | str,
    param: str,
    sha256: str,
    max_gb: float | None,
) -> dict[str, Any]:
    """Unpacks the wanted pictures of a zip, after a look at how many bytes they are."""
    with open_archive(path, param, file) as archive:
        names = [name for name in archive.members if not is_hidden(name)]
        source = _Source(names, archive.head, archive.unpack, archive.left_out)
        return _take(
            source, partial, picture_class, kind, origin, sha256, lambda chosen: archive.check(list(chosen), max_gb)
        )


def _take(
    source: _Source,
    partial: Path,
    picture_class: str,
    kind: str,
    origin: Path | str,
    sha256: str | None = None,
    check: Callable[[Iterable[str]], None] = lambda chosen: None,
) -> dict[str, Any]:
    """Copies the wanted pictures into `partial`, writes source.json, and counts what is there; the content of the note."""
    pictures = {name for name in source.names if source.is_picture(name)}
    called = origin if isinstance(origin, str) else str(origin)
    chosen = choose(source.names, picture_class, called, strict=kind == "afhqv2", is_picture=pictures.__contains__)
    check(chosen)
    target = partial / "train" / picture_class
    target.mkdir(parents=True)
    for name, flat in chosen.items():
        source.copy(name, target / flat)
    note = {
        "source": kind,
        # Of a local origin only the base name goes in: the output must not depend on the place.
        **({"url": origin} if isinstance(origin, str) else {"name": printable(origin.resolve().name)}),
        "sha256": sha256 or hash_tree(target),
        "class": picture_class,
        "pictures": len(chosen),
        "left_out": _left_out(source, pictures, chosen, picture_class),
        "files": sorted(chosen.values()),
    }
    write_record(partial, note)
    check_handed_over(partial)
    return note


def _left_out(source: _Source, pictures: set[str], chosen: dict[str, str], picture_class: str) -> dict[str, Any]:
    """Every file that was not taken, with the reason; pictures of other folders are counted by folder."""
    elsewhere: dict[str, int] = {}
    reasons = dict(source.left_out)
    for name in source.names:
        if name in pictures - chosen.keys():
            folder = name.rpartition("/")[0] + "/"
            elsewhere[folder] = elsewhere.get(folder, 0) + 1
        elif name not in chosen:
            reasons[name] = _why_no_picture(source, name)
    lines: list[dict[str, Any]] = [
        {"file": printable(folder), "reason": f"{count} pictures outside {picture_class}/ (fetch.picture_class)"}
        for folder, count in elsewhere.items()
    ]
    for name, reason in reasons.items():
        lost = name in source.left_out and (name.endswith("/") or (is_picture_name(name) and name not in chosen))
        lines.append({"file": printable(name), "reason": reason, **({"unreadable": True} if lost else {})})
    lines.sort(key=lambda line: (line["reason"] == _NO_PICTURE, line["file"]))  # what the user should see comes first
    return {"count": sum(elsewhere.values()) + len(reasons), "files": lines}


def _why_no_picture(source: _Source, name: str) -> str:
    """In a few words."""
    if name.lower().endswith(_CAMERA_RAW):
        return "camera raw: develop it to JPEG, PNG or TIFF"
    if name.rpartition("/")[2] == "dataset.json":
        return "class labels, if it holds any, are not used: training is unconditional"
    return _NO_PICTURE
