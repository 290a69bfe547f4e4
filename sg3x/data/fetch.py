"""Where raw pictures come from: AFHQv2's zip by URL, or the user's own folder or zip, into one layout.

    OUT/train/CLASS/*      the pictures, with the names they came with
    OUT/source.json        what they are: source, URL or base name, sha256, class, number of pictures

The bytes of OUT depend on the pictures only, not on when or where it was written. Pictures are copied, never linked,
and not decoded here: whether they can be read is for `prepare` to find out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import lzma
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from sg3x.data.pictures import PICTURE_SUFFIXES, is_picture_name
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

# What `fetch` makes: these functions, or the toy cats.
FETCHED = Made("pictures that the fetch stage wrote", ("train/*/*", "source.json", "attributes.json"))

CopyOne = Callable[[str, Path], None]  # (name in the source, file to write)


def fetch_path(source: Path, out: Path, *, picture_class: str) -> dict:
    """Copies the pictures of a folder or zip of the user's into `out`, replacing what was there.

    Taken are, of `source` (or of the one folder that holds everything in it): `train/CLASS/` if it is there, else
    `CLASS/`, else all pictures at any depth. A picture in a subfolder `a/b.png` becomes `a__b.png`; where two names
    would be equal (but for upper and lower case), both get a piece of their path's sha256.

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
        names = sorted(_names_in_folder(source))
        with _filling(out) as partial:
            chosen = choose(names, picture_class, str(source))
            target = _copy(chosen, partial, picture_class, lambda name, to: _copy_file(source / name, to))
            return _note(partial, "path", source, hash_tree(target), picture_class, len(chosen))
    if not source.is_file():
        raise ValueError(
            f"fetch.path is {str(source)!r}, which is not there; give a folder of pictures or a zip of one"
        )
    with open(source, "rb") as file, _filling(out) as partial:
        count = _unpack(source, file, partial, picture_class, strict=False, param="fetch.path")
        return _note(partial, "path", source, hash_open_file(file), picture_class, count)


def fetch_zip_url(
    url: str,
    out: Path,
    *,
    sha256: str | None,
    picture_class: str,
    local_zip: Path | None,
    downloads: Path,
    progress: Progress | None = None,
    retries: int = 5,
    backoff: float = 1.0,
) -> dict:
    """Unpacks `train/CLASS/` of AFHQv2's zip into `out`, replacing what was there.

    The zip is `local_zip` if given, else `url`, downloaded once into the folder `downloads` (see `download_file` for
    `progress`, `retries`, `backoff`, and what is left there after an interruption).

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
        count = _unpack(archive, file, partial, picture_class, strict=True, param=param)
        return _note(partial, "afhqv2", origin, found, picture_class, count)


def choose(names: list[str], picture_class: str, source: str, *, strict: bool = False) -> dict[str, str]:
    """{name in the source: flat file name} of the pictures to take (see `fetch_path`), sorted by name in the source.

    Args:
        names: relative names with `/` between folders.
        source: what to call the source in errors.
        strict: only `train/CLASS/` will do.

    Raises:
        ValueError: no pictures, or folders of other classes only.
    """
    pictures = sorted(name for name in names if _is_wanted(name))
    wrappers = _wrappers(pictures)
    for base in (f"train/{picture_class}/", f"{picture_class}/")[: 1 if strict else 2]:
        for prefix in wrappers:
            inside = [name for name in pictures if name.startswith(prefix + base)]
            if inside:
                return _flatten(inside, prefix + base)
    classes = _other_classes(pictures, wrappers)
    if strict or classes or not pictures:
        raise ValueError(_nothing_found(source, picture_class, names, classes, strict))
    return _flatten(pictures, wrappers[-1])


def check_class_name(picture_class: str) -> None:
    """Raises ValueError unless `picture_class` can be the name of one folder."""
    if not picture_class or picture_class.startswith(".") or set(picture_class) & set("/\\\0"):
        raise ValueError(f"fetch.picture_class is {picture_class!r}; allowed is the name of one folder, such as 'cat'")


def _is_wanted(name: str) -> bool:
    """Pictures by suffix, but nothing hidden, and not the shadow files that macOS puts into zips."""
    return is_picture_name(name) and not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _wrappers(names: list[str]) -> list[str]:
    """The folders that hold all `names`, from the outermost in: "", "a/", "a/b/" …"""
    columns = zip(*(name.split("/")[:-1] for name in names), strict=False)  # the outermost folders, the next ones …
    shared = [column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns)]
    return ["".join(part + "/" for part in shared[:depth]) for depth in range(len(shared) + 1)]


def _other_classes(names: list[str], wrappers: list[str]) -> list[str]:
    """Names of the folders in `train/`, when the source looks like AFHQ's."""
    inside = [name[len(w) + len("train/") :] for w in wrappers for name in names if name.startswith(w + "train/")]
    return sorted({name.split("/")[0] for name in inside if "/" in name})


def _flatten(names: list[str], base: str) -> dict[str, str]:
    """{name: flat name}: folders below `base` are joined by `__`, and equal names told apart by a piece of sha256."""
    flat = {name: name[len(base) :].replace("/", "__") for name in names}
    seen: dict[str, int] = {}
    for short in flat.values():
        seen[short.casefold()] = seen.get(short.casefold(), 0) + 1
    for name, short in flat.items():
        if seen[short.casefold()] > 1:
            path = PurePosixPath(short)
            flat[name] = f"{path.stem}-{hashlib.sha256(os.fsencode(name[len(base) :])).hexdigest()[:12]}{path.suffix}"
    return flat


def _nothing_found(source: str, picture_class: str, names: list[str], classes: list[str], strict: bool) -> str:
    """What was looked for, and what is there instead."""
    if classes:
        return (
            f"{source} has no pictures in train/{picture_class}/; fetch.picture_class is {picture_class!r}, and there "
            f"are: {', '.join(classes)}"
        )
    places = f"train/{picture_class}/" + ("" if strict else f", {picture_class}/, or anywhere else")
    return (
        f"{source} holds no pictures: looked in {places}, for files that end in {' '.join(PICTURE_SUFFIXES)} (in any "
        f"case), and saw {len(names)} files in all"
    )


def _names_in_folder(root: Path) -> Iterator[str]:
    """Relative names, with `/`, of all files below `root`; linked folders are entered, but no folder twice."""
    seen = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()  # which of two links to one folder is entered must not depend on the disk
        yield from (Path(folder, name).relative_to(root).as_posix() for name in files)


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


def _copy(chosen: dict[str, str], partial: Path, picture_class: str, copy_one: CopyOne) -> Path:
    """Copies {name in the source: flat name} into `partial`, and returns the folder they are in."""
    target = partial / "train" / picture_class
    target.mkdir(parents=True)
    for name, flat in chosen.items():
        copy_one(name, target / flat)
    return target


def _copy_file(source: Path, target: Path) -> None:
    """Copies content only: a read-only picture must not become a read-only output."""
    shutil.copyfile(source, target)


def _unpack(archive: Path, file: BufferedReader, partial: Path, picture_class: str, *, strict: bool, param: str) -> int:
    """Unpacks the wanted pictures of a zip, and returns how many they are; damage becomes one clear ValueError."""
    try:
        with zipfile.ZipFile(file) as opened:
            members = dict(_members(opened.infolist(), archive))
            chosen = choose(list(members), picture_class, str(archive), strict=strict)
            locked = [name for name in chosen if members[name].flag_bits & 1]
            if locked:
                raise ValueError(
                    f"{archive} ({param}) is encrypted, from {locked[0]} on: unpack it, and give the folder"
                )
            _copy(chosen, partial, picture_class, lambda name, to: _unpack_one(opened, members[name], to))
            return len(chosen)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; the one without a number is bzip2's way to say that the data are damaged
        again = (
            "Delete it and run again to download it anew" if param == "fetch.url" else "Give another zip, or a folder"
        )
        raise ValueError(f"{archive} ({param}) is not a zip that can be unpacked: {error}. {again}") from error


def _members(infos: Iterable[zipfile.ZipInfo], archive: Path) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """(name with `/`, member) of a zip's files: no folders, no links. Names that lead out of it are refused."""
    for info in infos:
        name = info.filename.replace("\\", "/")  # some Windows programs write them so
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            continue
        if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
            raise ValueError(f"{archive} holds a file called {info.filename!r}, which leads out of it: not unpacked")
        yield name, info


def _unpack_one(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """Unpacks one member; zipfile compares its CRC at the end."""
    with opened.open(info) as packed, open(target, "wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)


def _note(partial: Path, kind: str, origin: Path | str, sha256: str, picture_class: str, count: int) -> dict:
    """Writes source.json. Of a local origin only the base name goes in: the output must not depend on the place."""
    name = origin if isinstance(origin, str) else origin.resolve().name
    note = {
        "source": kind,
        "url" if isinstance(origin, str) else "name": name,
        "sha256": sha256,
        "class": picture_class,
        "pictures": count,
    }
    (partial / "source.json").write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return note
