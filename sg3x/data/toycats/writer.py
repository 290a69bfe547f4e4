"""A folder of toy cats, laid out as AFHQv2 is."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path

from PIL import Image

from sg3x.data.toycats.picture import MAX_SIZE, MIN_SIZE, check_integer, render_toycat
from sg3x.files.workers import process_pool

_PICTURES = Path("train") / "cat"
_PNG_STRATEGY = 3  # zlib's Z_RLE: on smooth paint as small as level 4 in half the time; matches depend on no CPU's hash
_FEW = 8  # pictures that make another worker worth its start


def write_toycats(
    folder: Path,
    *,
    count: int,
    size: int,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes `folder`/train/cat/toycat_000000.png and on, then `folder`/attributes.json.

    The bytes depend on count, size and seed (and on Pillow's zlib), not on the number of workers. Toy cats of an
    earlier call are removed first; attributes.json is written last, so that where it stands the folder is complete.

    Args:
        folder: made if need be.
        count: how many pictures, 1 or more.
        size: their width and height in pixels, 16..1024.
        seed: the family of cats, 0 or more.
        workers: how many processes, default one for each CPU; 1 stays in this process.
        progress: called with (pictures written, count) after every picture.

    Raises:
        ValueError: an argument is out of range.
        RuntimeError: a worker died, or could not start.
    """
    check_integer("count", count, 1)
    check_integer("size", size, MIN_SIZE, MAX_SIZE)
    check_integer("seed", seed, 0)
    if workers is not None:
        check_integer("workers", workers, 1)
    folder = Path(folder)
    _clear(folder)
    attributes = {}
    for done, (name, traits) in enumerate(_write_all(partial(_write_one, folder, size, seed), count, workers), start=1):
        attributes[name] = traits
        if progress is not None:
            progress(done, count)
    partial_file = folder / "attributes.json.partial"
    partial_file.write_text(json.dumps(attributes, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    partial_file.replace(folder / "attributes.json")


def _clear(folder: Path) -> None:
    """Makes the folders and removes what an earlier call wrote."""
    (folder / _PICTURES).mkdir(parents=True, exist_ok=True)
    (folder / "attributes.json").unlink(missing_ok=True)
    for stale in (folder / _PICTURES).glob("toycat_*.png"):
        stale.unlink()


def _write_all(write: Callable[[int], tuple[str, dict]], count: int, workers: int | None) -> Iterator[tuple[str, dict]]:
    """Yields what `write` returns for 0..count-1, in any order."""
    workers = min(workers or os.cpu_count() or 1, -(-count // _FEW))
    if workers == 1:
        yield from map(write, range(count))
        return
    guard = ", or could not start: a script that calls write_toycats needs `if __name__ == '__main__':`, or workers=1"
    with process_pool(workers, "drawing", guard) as executor:
        for done in as_completed([executor.submit(write, index) for index in range(count)]):
            yield done.result()


def _write_one(folder: Path, size: int, seed: int, index: int) -> tuple[str, dict]:
    """Writes one picture; its name in the folder and its attributes."""
    picture, attributes = render_toycat(index, seed=seed, size=size)
    name = _PICTURES / f"toycat_{index:06d}.png"
    Image.fromarray(picture).save(folder / name, compress_type=_PNG_STRATEGY)
    return name.as_posix(), attributes
