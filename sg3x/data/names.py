"""The choice of a source's files, and the one flat name of each."""

from __future__ import annotations

import hashlib
import itertools
import os
import unicodedata
from collections.abc import Callable
from pathlib import PurePosixPath

from sg3x.data.pictures import FORMATS, is_picture_name

MOST_BYTES = 220  # of a flat name: file systems allow 255, and DVC appends some while it copies


def choose(
    names: list[str],
    picture_class: str,
    source: str,
    *,
    strict: bool = False,
    is_picture: Callable[[str], bool] = is_picture_name,
) -> dict[str, str]:
    """{name in the source: flat file name} of the pictures to take (see `fetch_path`), sorted by name in the source.

    Args:
        names: relative names with `/` between folders.
        source: what to call the source in errors.
        strict: only `train/CLASS/` will do.
        is_picture: whether the file of a name is a picture; by default its suffix says so.

    Raises:
        ValueError: no pictures, or folders of other classes only.
    """
    pictures = sorted(name for name in names if not is_hidden(name) and is_picture(name))
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


def is_hidden(name: str) -> bool:
    """True if a file or a folder above it is hidden, or a shadow file that macOS puts into zips."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def printable(name: str) -> str:
    """The name as it can be printed and written as UTF-8, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


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
    """{name: flat name}: folders below `base` are joined by `__`; what then collides or cannot be a name is told apart.

    No two flat names are equal, not even to a file system that ignores case or composes accents.
    """
    joined = {name: name[len(base) :].replace("/", "__") for name in sorted(names)}
    seen: dict[str, int] = {}
    for short in joined.values():
        seen[_same(short)] = seen.get(_same(short), 0) + 1
    flat = {name: short for name, short in joined.items() if seen[_same(short)] == 1 and _can_be_a_name(short)}
    taken = {_same(short) for short in flat.values()}
    for name, short in joined.items():
        if name not in flat:
            flat[name] = _told_apart(short, name[len(base) :], taken)
            taken.add(_same(flat[name]))
    return {name: flat[name] for name in joined}


def _same(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _can_be_a_name(name: str) -> bool:
    """True if DVC and every file system can hold the name: UTF-8, and not too long."""
    try:
        return len(name.encode()) <= MOST_BYTES
    except UnicodeEncodeError:
        return False


def _told_apart(short: str, path: str, taken: set[str]) -> str:
    """The name with a piece of its path's sha256, and so much of its beginning that the whole is short enough."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()
    parts = PurePosixPath(short)
    stem, suffix = (os.fsencode(part).decode("utf-8", "replace") for part in (parts.stem, parts.suffix))
    if len(suffix.encode()) > 16:
        stem, suffix = stem + suffix, ""
    for digits in (12, 24, 48, 64):
        room = MOST_BYTES - digits - 1 - len(suffix.encode())
        name = f"{stem.encode()[:room].decode('utf-8', 'ignore')}-{digest[:digits]}{suffix}"
        if _same(name) not in taken:
            return name
    raise ValueError(f"{printable(path)!r} gets the name of another picture, {name!r}: rename one of the two")


def _nothing_found(source: str, picture_class: str, names: list[str], classes: list[str], strict: bool) -> str:
    """The message for an empty source: the places searched, and what is there instead."""
    if classes:
        return (
            f"{source} has no pictures in train/{picture_class}/; fetch.picture_class is {picture_class!r}, and there "
            f"are: {', '.join(map(printable, classes))}"
        )
    places = f"train/{picture_class}/" + ("" if strict else f", {picture_class}/, or anywhere else")
    return (
        f"{source} holds no pictures: looked in {places}, for files that are {', '.join(FORMATS)} (.png, .jpg, ... or by "
        f"their content), and saw {len(names)} files in all"
    )
