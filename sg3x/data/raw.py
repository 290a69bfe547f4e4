"""The record that `fetch` leaves in data/raw, and its comparison with the files there.

`source.json` names every picture that was taken; of toy cats `attributes.json` does. A picture that nobody put on
record is not ours to delete or to train on, and one that is on record must be there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sg3x.data.names import printable

SOURCE, TOYCATS = "source.json", "attributes.json"
_MOST_NAMED = 10  # in a message


def write_record(raw: Path, note: dict[str, Any]) -> None:
    """Writes source.json."""
    (raw / SOURCE).write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_record(raw: Path) -> dict[str, Any]:
    """The content of source.json; of toy cats their names alone; {} where neither says anything.

    Raises:
        ValueError: one of the two is damaged.
    """
    for name in (SOURCE, TOYCATS):
        try:
            found = json.loads((raw / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{raw / name} is damaged ({error}): remove {raw}, and run the fetch stage again"
            ) from error
        if name == TOYCATS and isinstance(found, dict):
            found = {"files": [Path(file).name for file in found], "class": "cat"}
        if not _is_record(found):
            raise ValueError(f"{raw / name} is damaged: remove {raw}, and run the fetch stage again")
        return found
    return {}


def _is_record(found: Any) -> bool:
    """True if the used part of a record has the right types; sg3x once wrote records without names."""
    if not isinstance(found, dict) or not isinstance(found.get("left_out", {}), dict):
        return False
    names, lost = found.get("files", []), found.get("left_out", {}).get("files", [])
    return (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and isinstance(lost, list)
        and all(isinstance(entry, dict) and {"file", "reason"} <= entry.keys() for entry in lost)
        and ("files" not in found or isinstance(found.get("class"), str))
    )


def check_nothing_of_the_users(raw: Path) -> None:
    """Raises ValueError if `raw` holds files that the fetch stage did not write, and is about to replace."""
    strangers = _compare(raw)[0]
    if strangers:
        raise ValueError(
            f"{raw} holds {_listed(strangers)}, which the fetch stage did not put there and would delete. Move them away; to "
            "train on pictures of yours give their folder: fetch.source: path and fetch.path"
        )


def check_handed_over(raw: Path, unreadable: str = "skip") -> None:
    """Raises ValueError unless `raw` holds exactly the pictures on record, and all that should be in it could be read.

    Args:
        unreadable: prepare.unreadable; "skip" does without what the fetch stage could not read.
    """
    strangers, missing = _compare(raw)
    if strangers or missing:
        what = [f"lacks {_listed(missing)}"] * bool(missing) + [f"holds {_listed(strangers)} besides"] * bool(strangers)
        raise ValueError(
            f"{raw} is not what the fetch stage wrote: it {' and '.join(what)}. Move away what is yours, and run the stage "
            "again (dvc repro -f fetch)"
        )
    lost = [e for e in read_record(raw).get("left_out", {}).get("files", []) if e.get("unreadable")]
    if lost and unreadable == "error":
        lines = "".join(f"\n  {entry['file']}: {entry['reason']}" for entry in lost)
        raise ValueError(
            f"{len(lost)} pictures could not be fetched (remove them, or set prepare.unreadable to 'skip'):{lines}"
        )


def _compare(raw: Path) -> tuple[list[str], list[str]]:
    """(files that are not on record, pictures on record that are not there); nothing where there is no record."""
    record = read_record(raw)
    if "files" not in record:
        return [], []
    wanted = {f"train/{record['class']}/{name}" for name in record["files"]}
    there = {Path(folder, name).relative_to(raw).as_posix() for folder, _, names in os.walk(raw) for name in names} - {
        SOURCE,
        TOYCATS,
    }
    return sorted(name for name in there - wanted if not Path(name).name.startswith(".")), sorted(wanted - there)


def _listed(names: Iterable[str]) -> str:
    """The first few of the names, and how many there are."""
    names = list(names)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    count = "1 file" if len(names) == 1 else f"{len(names)} files"
    return f"{count} ({', '.join(map(printable, names[:_MOST_NAMED]))}{more})"
