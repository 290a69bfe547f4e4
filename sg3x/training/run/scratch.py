"""The directory of an unfinished segment, named by everything that decides the segment's bytes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sg3x.files.atomic import atomic_folder, atomic_write, remove
from sg3x.files.fingerprint import hash_file
from sg3x.files.nested import flat
from sg3x.training.run.checkpoints import MADE
from sg3x.training.run.intact import MANIFEST, CheckpointError, read_object

IDENTITY = "identity.json"
FINISHED = "finished.json"
_CHECKPOINT = re.compile(r"nimg-(\d{12})")


def code_fingerprint(root: Path, places: Iterable[str]) -> str:
    """sha256 over the names and contents of the Python files at `places` below `root`. Compiled caches do not count."""
    digest = hashlib.sha256()
    for place in sorted(places):
        start = root / place
        for file in sorted(start.rglob("*.py")) if start.is_dir() else [start]:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + bytes.fromhex(hash_file(file)))
    return digest.hexdigest()


def scratch_directory(root: Path, identity: dict[str, Any]) -> Path:
    """The directory for this identity: a changed run gets another one, and never resumes from this one's progress."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return root / hashlib.sha256(text.encode()).hexdigest()[:16]


def write_identity(scratch: Path, identity: dict[str, Any]) -> None:
    """Notes beside the checkpoints what they belong to."""
    text = json.dumps(identity, sort_keys=True, default=str, indent=1)
    atomic_write(scratch / IDENTITY, text.encode() + b"\n")


def checkpoint_path(scratch: Path, nimg: int) -> Path:
    """Path of the progress checkpoint of this image counter."""
    return scratch / f"nimg-{nimg:012d}"


def nimg_of(path: Path) -> int | None:
    """The image counter that a progress checkpoint's name says. None: it is none, whatever else lies there."""
    match = _CHECKPOINT.fullmatch(path.name)
    return int(match[1]) if match and path.name.isascii() else None


def progress_checkpoints(scratch: Path) -> list[Path]:
    """Progress checkpoints in `scratch`, the newest last; what else lies there is left out."""
    return sorted(path for path in scratch.glob("nimg-*") if nimg_of(path) is not None)


def leftovers(root: Path, scratch: Path, identity: dict[str, Any]) -> list[str]:
    """One sentence for each other scratch directory that holds progress of this segment: how far, and what differs."""
    mine, found = flat(json.loads(json.dumps(identity, default=str))), []
    for other in sorted(root.glob(f"*/{IDENTITY}")):
        if other.parent == scratch or other.parent.name.startswith("."):  # the second: being removed
            continue
        try:
            theirs = flat(read_object(other))
        except (CheckpointError, RecursionError):
            continue
        saved = progress_checkpoints(other.parent)
        if not saved or (other.parent / FINISHED).exists() or theirs.get("segment") != mine.get("segment"):
            continue
        changed = [key for key in sorted(mine.keys() | theirs.keys()) if mine.get(key) != theirs.get(key)]
        said = ", ".join(_difference(key, theirs.get(key), mine.get(key)) for key in changed)
        found.append(
            f"{other.parent} holds {(nimg_of(saved[-1]) or 0) / 1000:.3f} kimg of this segment and is not used: {said}. "
            "Change that back to go on from it, or delete it"
        )
    return found


def _difference(key: str, theirs: Any, mine: Any) -> str:
    if key in ("code", "data", "parent"):
        return {"code": "the code", "data": "the data", "parent": "the parent checkpoint"}[key] + " changed"
    return f"{key.removeprefix('params.')} was {theirs} there and is {mine} now"


def copy_checkpoint(source: Path, place: Path) -> None:
    """Puts a checkpoint at a second place; on the same file system it takes no room there."""
    with atomic_folder(place, MADE) as part:
        shutil.copytree(source, part, copy_function=_link_or_copy, dirs_exist_ok=True)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)  # nothing of ours writes into a file that is there: see files.atomic
    except OSError:
        shutil.copyfile(source, target)


def keep_finished(scratch: Path, out: Path, nimg: int) -> None:
    """Keeps a segment's result until DVC has it: DVC removes an output before it runs the stage again.

    Should there be no room in DVC's cache, say, the next trainer with the same fingerprint takes the result over.
    """
    place = checkpoint_path(scratch, nimg)
    copy_checkpoint(out, place)
    atomic_write(scratch / FINISHED, json.dumps({"checkpoint": hash_file(out / MANIFEST)}).encode() + b"\n")


def give_up_finished(root: Path, checkpoint: Path) -> None:
    """Removes what was kept of the segment that ended in `checkpoint`; for stages that DVC gave it to, so that DVC has it."""
    try:
        mine = hash_file(checkpoint / MANIFEST)
    except OSError:
        return  # the stage will say so
    for note in root.glob(f"[!.]*/{FINISHED}"):
        with contextlib.suppress(CheckpointError):
            if read_object(note).get("checkpoint") == mine:
                discard(note.parent)


def discard(folder: Path) -> None:
    """Removes a folder, or a file, that may be looked at: renamed first, so that a kill leaves no half of it under its name."""
    going = folder.with_name(f".{folder.name}.old")
    with contextlib.suppress(OSError):
        remove(going)  # what a killed run left there
    with contextlib.suppress(OSError):
        folder.rename(going)
        remove(going)
