"""Who imports whom in sg3x/, read from the code: `python -m tests.architecture` writes it into docs/architecture.md.

A room is a folder of sg3x/, or a file that lies beside them. Imports inside functions count; `if TYPE_CHECKING:` does not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
Graph = dict[str, set[str]]

NOTHING = "nothing of ours"
# Rows of the page's tables: | `room` or `room/inner` | what it holds | what it imports |
ROW = re.compile(r"^\| `(?P<room>[\w/]+)` \| (?P<holds>.*) \| (?P<imports>[^|]*?) ?\|$", re.MULTILINE)


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of ours."""
    place = ROOT.joinpath(*module.split("."))
    return next((f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None)


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield from statements(node)


@cache
def imports(path: Path) -> frozenset[Path]:
    """Files of sg3x that `path` names in its import statements: of `from package import module`, the module."""
    found = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert node.level == 0, f"{path} imports relatively; allowed are full names"
            module = node.module or ""
            names = [f"{module}.{a.name}" if file_of(f"{module}.{a.name}") else module for a in node.names]
        found |= {file for name in names if name.startswith("sg3x.") and (file := file_of(name))}
    return frozenset(found - {path})


def files() -> list[Path]:
    return sorted((ROOT / "sg3x").rglob("*.py"))


def file_graph() -> Graph:
    return {name(file): {name(other) for other in imports(file)} for file in files()}


def name(file: Path) -> str:
    return file.relative_to(ROOT / "sg3x").with_suffix("").as_posix()


def room(file: str, inside: str | None = None) -> str:
    """`networks/store` -> `networks`; inside `metrics`, `metrics/motion/ideal` -> `metrics/motion`."""
    parts = file.split("/")
    return "/".join(parts[: 2 if inside and parts[0] == inside else 1])


def room_graph(inside: str | None = None) -> Graph:
    """The rooms and what each imports; with `inside`, the folders and files of that room alone."""
    graph: Graph = {}
    for file, others in file_graph().items():
        if file.endswith("__init__") and file.count("/") <= (1 if inside else 0):
            continue  # re-exports
        if inside and not file.startswith(inside + "/"):
            continue
        here = room(file, inside)
        there = {room(other, inside) for other in others if not inside or other.startswith(inside + "/")}
        graph.setdefault(here, set()).update(there - {here})
    return graph


def cycle(graph: Graph) -> list[str]:
    """A circle of the graph as its nodes in order, or nothing."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        found = next(filter(None, (visit(other, [*trail, node]) for other in sorted(graph.get(node, ())))), [])
        done.add(node)
        return found

    return next(filter(None, (visit(node, []) for node in sorted(graph))), [])


def rows() -> dict[str, str]:
    """What the page says that each room imports."""
    return {match["room"]: match["imports"] for match in ROW.finditer(PAGE.read_text(encoding="utf-8"))}


def inner_rooms(named: Iterable[str]) -> list[str]:
    """The rooms that the page opens: those of which it names an inner one."""
    return sorted({room.split("/")[0] for room in named if "/" in room})


def cells(named: Iterable[str]) -> dict[str, str]:
    """The cell of imports of every named room, from the code."""
    graph = room_graph()
    for outer in inner_rooms(named):
        graph |= room_graph(outer)
    return {room: ", ".join(f"`{other}`" for other in sorted(graph.get(room, ()))) or NOTHING for room in named}


def main() -> None:
    found = cells(rows())
    text = ROW.sub(lambda m: f"| `{m['room']}` | {m['holds']} | {found[m['room']]} |", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
