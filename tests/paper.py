"""Names in docs/paper.md and where the code defines them: `python -m tests.paper` follows what has moved to another file."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from tests.architecture import ROOT, files

PAGE = ROOT / "docs" / "paper.md"
PLACE = re.compile(r"`(?P<file>[\w/]+\.py)`: (?P<names>`[\w.]+`(?:, `[\w.]+`)*)")


def places(text: str) -> list[tuple[str, str]]:
    """(file, name) of everything the page points to."""
    return [(m["file"], name) for m in PLACE.finditer(text) for name in re.findall(r"`([\w.]+)`", m["names"])]


@cache
def defined(file: Path) -> frozenset[str]:
    """Functions, classes, `Class.method`s and constants of a file."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def is_there(file: str, name: str) -> bool:
    path = ROOT / "sg3x" / file
    return path.is_file() and name in defined(path)


def moved(place: re.Match[str]) -> str:
    """The place as it is, or with the one file that defines its names now."""
    names = re.findall(r"`([\w.]+)`", place["names"])
    if all(is_there(place["file"], name) for name in names):
        return place[0]
    homes = [f for f in files() if set(names) <= defined(f)]
    if len(homes) != 1:
        raise SystemExit(f"{place[0]} is no more; {len(homes)} files define these names: mend {PAGE.name} by hand")
    return f"`{homes[0].relative_to(ROOT / 'sg3x').as_posix()}`: {place['names']}"


if __name__ == "__main__":
    PAGE.write_text(PLACE.sub(moved, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
