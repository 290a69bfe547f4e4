"""A folder of pictures → one memory-mappable array, an index of its rows, and the data set's fingerprint.

    OUT/images.npy     uint8[2N, R, R, 3], or uint8[N, R, R, 3] without flips
    OUT/index.csv      row,file,flip: row 0 … N-1 are the pictures sorted by file name, row N+i is row i mirrored
    OUT/dataset.json   fingerprint, shape, what was done, what was skipped and why

The bytes depend on the pictures and the settings only: not on the number of workers, not on the order of their work.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np

from sg3x.data.pictures import (
    HEAD_BYTES,
    MAX_FILE_BYTES,
    NonSquare,
    PictureError,
    ResizeFilter,
    is_picture_name,
    kind_of,
    load_picture,
)
from sg3x.files.atomic import Made, atomic_folder
from sg3x.files.fingerprint import ArrayHash, hash_array
from sg3x.files.workers import process_pool

Unreadable = Literal["error", "skip"]
Progress = Callable[[int, int], None]  # pictures done, pictures in all

ARRAY, INDEX, FACTS = "images.npy", "index.csv", "dataset.json"
_MADE = Made("what the prepare stage wrote", (ARRAY, INDEX, FACTS), mark=FACTS)
LEAST_PICTURES = 6  # what the evaluate stage needs: coverage looks to the 5th neighbour
_FEW = 64  # up to so many pictures, starting processes takes longer than the work
_MOST_WORKERS = 16  # the one process that writes cannot follow many more
_FLIP_BYTES = 64 << 20  # how much of the array is held in memory at a time while mirroring


@dataclass(frozen=True)
class _Decoded:
    """A worker's result for one file."""

    sha256: str  # of the file
    pixels: bytes = b""  # uint8[R, R, 3] in C order
    side: int = 0  # of the square picture before it was resized, in pixels
    reason: str = ""  # why it cannot be read; then there are no pixels


@dataclass
class _Report:
    """Findings on the way, in the order of the files."""

    files: list[str] = field(default_factory=list)  # one per row of originals
    skipped: list[dict[str, str]] = field(default_factory=list)
    duplicates: list[dict[str, str]] = field(default_factory=list)
    upscaled: int = 0
    first_with: dict[str, str] = field(default_factory=dict)  # sha256 of a file → the first file that has it


def prepare_dataset(
    raw: Path,
    out: Path,
    *,
    resolution: int,
    resize_filter: ResizeFilter,
    nonsquare: NonSquare,
    unreadable: Unreadable,
    flips: bool,
    max_images: int | None,
    least_pictures: int = 1,
    batch_size: int = 1,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Brings all pictures below `raw/train/` to one size, and writes them to the folder `out`, replacing it.

    Pictures are taken in the order of their names (`cat/0001.png` …), compared by code points. Those smaller than
    `resolution` are enlarged, with one warning that counts them. With `workers` > 1 this starts processes by "spawn":
    the calling script needs its `if __name__ == "__main__":`.

    Args:
        resolution: side of the square pictures, in pixels.
        resize_filter: "lanczos" or "area"; see `sg3x.data.pictures.resize`.
        nonsquare: "crop" to the centre, or "pad" by repeating the edge; see `sg3x.data.pictures.square`.
        unreadable: "error" refuses the data set and lists all unreadable files; "skip" leaves them out.
        flips: whether every picture is followed, in the second half of the array, by its mirror image.
        max_images: only the first so many that can be read, not counting flips; None takes all.
        least_pictures: fewer than so many are refused, not counting flips.
        batch_size: fewer rows than so many, counting flips, are refused.
        workers: processes; None means one per CPU core that this process may use.
        progress: called with (pictures done, pictures in all).

    Returns:
        The content of dataset.json.

    Raises:
        ValueError: a setting out of range, no pictures, too few, or unreadable ones (all are listed).
        OSError: the disk is full.
    """
    _check_settings(resolution, unreadable, max_images, workers)
    names = _picture_names(Path(raw))
    settings: dict[str, Any] = {"resolution": resolution, "resize_filter": resize_filter, "nonsquare": nonsquare}
    load = partial(_load, **settings)
    with atomic_folder(Path(out), _MADE, "writing the array") as folder:
        with _results(load, [Path(raw, "train", name) for name in names], workers) as results:
            rows = _kept(zip(names, results, strict=False), report := _Report(), resolution, max_images)
            count = min(len(names), max_images or len(names))
            shape, fingerprint = _write_array(folder / ARRAY, _counted(rows, count, progress), resolution, flips)
        _check_report(report, unreadable, Path(raw))
        _check_count(report, len(names), max_images, shape[0], least_pictures, batch_size)
        _write_index(folder / INDEX, report.files, flips)
        facts = _facts(fingerprint, shape, settings, flips, report)
        (folder / FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", **_TEXT)
    return facts


def load_arrays(folder: Path, *, verify: bool = False) -> tuple[np.memmap, dict[str, Any]]:
    """Opens what `prepare_dataset` wrote.

    Args:
        verify: also read all of the array, and compare it with the fingerprint.

    Returns:
        Read-only memory map uint8[2N, R, R, 3] (or [N, R, R, 3] without flips), and the content of dataset.json.

    Raises:
        ValueError: a file is missing or damaged, or the two do not belong together.
    """
    folder = Path(folder)
    try:
        facts = json.loads((folder / FACTS).read_text(**_TEXT))
        expected = (tuple(facts["shape"]), str(facts["dtype"]))
        fingerprint = facts["fingerprint"]
        array = _open_array(folder / ARRAY)
    except FileNotFoundError as error:
        raise ValueError(
            f"{error.filename} is not there: run the prepare stage (dvc repro prepare, or dvc pull)"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{folder} is not a prepared data set ({error}): run the prepare stage again") from error
    if (array.shape, array.dtype.name) != expected:
        raise ValueError(
            f"{folder / ARRAY} is {array.dtype.name}{list(array.shape)}, but {FACTS} beside it says "
            f"{expected[1]}{list(expected[0])}: they do not belong together; run the prepare stage again"
        )
    if verify and (found := hash_array(array)) != fingerprint:
        raise ValueError(f"{folder / ARRAY} has fingerprint {found}, but {FACTS} says {fingerprint}: the array changed")
    return array, facts


def load_index(folder: Path) -> list[tuple[str, bool]]:
    """(file name below raw/train, whether it is mirrored) for each row of the array.

    Raises:
        ValueError: the file is missing or damaged.
    """
    path = Path(folder) / INDEX
    try:
        with open(path, newline="", **_TEXT) as file:
            return [(line["file"], line["flip"] == "1") for line in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there: run the prepare stage (dvc repro prepare, or dvc pull)") from error
    except (csv.Error, KeyError) as error:
        raise ValueError(f"{path} is not the index of a data set ({error}): run the prepare stage again") from error


def _open_array(path: Path) -> np.memmap:
    """A memory map of the array; whatever is wrong with the file, its header first of all, is one ValueError."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy reads the header as Python: it fails in every way on damaged ones
        said = str(error).partition("\n")[0]
        raise ValueError(f"{path.name} is no array: {type(error).__name__}: {said}") from error


_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}  # file names need not be valid UTF-8


def _check_settings(resolution: int, unreadable: str, max_images: int | None, workers: int | None) -> None:
    """Raises ValueError for what would only fail later, or not at all."""
    if unreadable not in get_args(Unreadable):
        raise ValueError(f"prepare.unreadable is {unreadable!r}; allowed are 'error' and 'skip'")
    for name, value in (("resolution", resolution), ("prepare.max_images", max_images), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value!r}; allowed are whole numbers of at least 1")


def _picture_names(raw: Path) -> list[str]:
    """Names of all pictures below raw/train, with `/`, sorted."""
    train = raw / "train"
    files = (Path(folder, name) for folder, _, names in os.walk(train, followlinks=True) for name in names)
    names = sorted(file.relative_to(train).as_posix() for file in files if _is_picture(file))
    if not names:
        raise ValueError(f"there are no pictures below {train}: run the fetch stage, and see fetch.source")
    return names


def _is_picture(path: Path) -> bool:
    """By its suffix, or else by its first bytes; hidden files never are."""
    if path.name.startswith(".") or is_picture_name(path.name):
        return not path.name.startswith(".")
    try:
        with open(path, "rb") as file:
            return kind_of(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def _load(path: Path, **settings: Any) -> _Decoded:
    """Reads and decodes one file; runs in the workers."""
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            return _Decoded(sha256="", reason=f"{size} bytes; at most {MAX_FILE_BYTES} are read")
        content = path.read_bytes()
    except OSError as error:
        return _Decoded(sha256="", reason=f"cannot be opened: {error.strerror}")
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        pixels, side = load_picture(content, **settings)
    except PictureError as error:
        return _Decoded(sha256, reason=str(error))
    return _Decoded(sha256, pixels.tobytes(), side)


@contextmanager
def _results(load: Callable[[Path], _Decoded], paths: list[Path], workers: int | None) -> Iterator[Iterable[_Decoded]]:
    """Results of `load` for each path, in order, by several processes where that pays."""
    workers = workers or min(_cores(), _MOST_WORKERS, -(-len(paths) // _FEW))
    if workers == 1:
        yield map(load, paths)
        return
    with process_pool(workers, "reading pictures") as executor:
        yield _in_order(executor, load, paths, window=8 * workers)


def _in_order(
    executor: Executor, load: Callable[[Path], _Decoded], paths: list[Path], window: int
) -> Iterator[_Decoded]:
    """Like `executor.map`, but never more than `window` pictures are waiting in memory."""
    todo = iter(paths)
    waiting = deque(executor.submit(load, path) for path in itertools.islice(todo, window))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(executor.submit(load, path) for path in itertools.islice(todo, 1))


def _kept(
    results: Iterable[tuple[str, _Decoded]], report: _Report, resolution: int, max_images: int | None
) -> Iterator[_Decoded]:
    """The first `max_images` pictures that could be read, with everything that is met noted in `report`."""
    for name, decoded in results:
        if decoded.reason:
            report.skipped.append({"file": name, "reason": decoded.reason})
            continue
        first = report.first_with.setdefault(decoded.sha256, name)
        if first != name:
            report.duplicates.append({"file": name, "same_as": first})
        report.files.append(name)
        report.upscaled += decoded.side < resolution
        yield decoded
        if len(report.files) == max_images:
            return


def _counted(rows: Iterator[_Decoded], total: int, progress: Progress | None) -> Iterator[_Decoded]:
    """Passes the rows on, and tells `progress` how many there were."""
    for done, row in enumerate(rows, start=1):
        yield row
        if progress is not None:
            progress(done, total)


def _write_array(
    path: Path, rows: Iterator[_Decoded], resolution: int, flips: bool
) -> tuple[tuple[int, int, int, int], str]:
    """Writes the .npy file, with the flips behind the originals, and returns its shape and fingerprint.

    It is written as a stream and not through a memory map, because on a full disk a memory map ends in SIGBUS, and
    because only at the end is it known how many pictures could be read. The header has room for any number of rows.
    """
    digest, count = ArrayHash(), 0
    with open(path, "w+b") as file:
        _write_header(file, (0, resolution, resolution, 3))
        start = file.tell()
        for row in rows:
            file.write(row.pixels)
            digest.update(row.pixels)
            count += 1
        file.flush()
        for block in _mirrored(path, start, (count, resolution, resolution, 3)) if flips and count else ():
            file.write(block)
            digest.update(block)
        shape = (count * (1 + flips), resolution, resolution, 3)
        file.seek(0)
        _write_header(file, shape)
        if file.tell() != start:
            raise RuntimeError(f"the .npy header changed its length from {start} to {file.tell()} bytes")
    return shape, digest.finish(np.dtype(np.uint8), shape)


def _write_header(file: BinaryIO, shape: tuple[int, int, int, int]) -> None:
    facts = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, facts)


def _mirrored(path: Path, start: int, shape: tuple[int, int, int, int]) -> Iterator[bytes]:
    """The rows that were just written, mirrored left to right, some megabytes at a time."""
    originals = np.memmap(path, np.uint8, "r", offset=start, shape=shape)
    step = max(1, _FLIP_BYTES // originals[0].nbytes)
    for first in range(0, shape[0], step):
        yield originals[first : first + step, :, ::-1].tobytes()


def _check_report(report: _Report, unreadable: str, raw: Path) -> None:
    """Raises for all unreadable pictures at once, unless they may be skipped and others remain; warns of small ones."""
    if report.skipped and (unreadable == "error" or not report.files):
        lines = "".join(f"\n  {entry['file']}: {entry['reason']}" for entry in report.skipped)
        way_out = "none can be read" if not report.files else "remove them, or set prepare.unreadable to 'skip'"
        raise ValueError(f"{len(report.skipped)} pictures below {raw / 'train'} cannot be read ({way_out}):{lines}")
    if report.upscaled:
        message = f"{report.upscaled} of {len(report.files)} pictures are smaller than the resolution and were enlarged"
        warnings.warn(message, stacklevel=3)


def _check_count(
    report: _Report, names: int, max_images: int | None, rows: int, least_pictures: int, batch_size: int
) -> None:
    """Raises for a picture that got lost on the way, and ValueError for fewer than what later stages need."""
    pictures = len(report.files)
    if pictures != max_images and pictures + len(report.skipped) != names:
        raise RuntimeError(
            f"{names} pictures were to be read, {pictures + len(report.skipped)} were: run the stage again"
        )
    if pictures < least_pictures:
        raise ValueError(
            f"{pictures} pictures can be read; allowed are {least_pictures} and more: the evaluate stage looks that far for "
            "neighbours. Give more (fetch.path, fetch.count, prepare.max_images)"
        )
    if rows < batch_size:
        raise ValueError(
            f"{pictures} pictures are {rows} rows of the array, fewer than batch_size={batch_size}: give more pictures, set "
            "prepare.flips to true, or lower batch_size"
        )


def _write_index(path: Path, files: list[str], flips: bool) -> None:
    """One line per row of the array."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "file", "flip"])
    sides = (0, 1) if flips else (0,)
    writer.writerows([flip * len(files) + row, name, flip] for flip in sides for row, name in enumerate(files))
    path.write_bytes(text.getvalue().encode(**_TEXT))


def _facts(
    fingerprint: str, shape: tuple[int, ...], settings: dict[str, Any], flips: bool, report: _Report
) -> dict[str, Any]:
    """The content of dataset.json."""
    return {
        "fingerprint": fingerprint,  # sha256 over dtype, shape and bytes of the array: see ArrayHash
        "dtype": "uint8",
        "shape": list(shape),
        "pictures": len(report.files),
        "flips": flips,
        **settings,
        "upscaled": report.upscaled,
        "duplicates": {"count": len(report.duplicates), "files": report.duplicates},
        "skipped": {"count": len(report.skipped), "files": report.skipped},
    }


def _cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
