"""docs/architecture.md against the code: its rooms, what each imports, and that arrows point one way."""

import re

import pytest

from tests import architecture, fidelity
from tests.architecture import ROOT, cells, cycle, file_graph, inner_rooms, room_graph, rows


def test_every_room_has_its_row():
    assert {room for room in rows() if "/" not in room} == room_graph().keys()


def test_every_folder_of_an_opened_room_has_its_row():
    folders = {
        f"{outer}/{path.name}"
        for outer in inner_rooms(rows())
        for path in (ROOT / "sg3x" / outer).iterdir()
        if (path / "__init__.py").is_file()
    }
    assert folders and folders <= rows().keys()
    assert {room for room in rows() if "/" in room} <= {node for o in inner_rooms(rows()) for node in room_graph(o)}


@pytest.mark.parametrize("room", rows())
def test_its_imports_are_those_of_the_code(room):
    assert rows()[room] == cells(rows())[room], "`python -m tests.architecture` writes the column"


@pytest.mark.parametrize("inside", [None, *(p.name for p in (ROOT / "sg3x").iterdir() if p.is_dir())])
def test_arrows_between_rooms_point_one_way(inside):
    assert not cycle(room_graph(inside))


def test_no_file_imports_itself_by_way_of_others():
    assert not cycle(file_graph())


def test_nothing_imports_the_stages():
    for file in architecture.files():
        for node in architecture.statements(architecture.ast.parse(file.read_text(encoding="utf-8"))):
            named = [a.name for a in node.names] if isinstance(node, architecture.ast.Import) else [node.module or ""]
            assert not [n for n in named if n.split(".")[0] in ("stages", "benchmarks", "tests")], file


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, ["a", "b", "a"]),
        ({"a": {"b", "c"}, "b": set(), "c": {"d"}, "d": {"c"}}, ["c", "d", "c"]),
    ],
)
def test_a_circle_is_found(graph, found):
    assert cycle(graph) == found


def test_lists_of_tests_name_files_that_are_there():
    long = re.search(r"LONG = \((.*?)\)", (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"), re.DOTALL)
    listed = [*fidelity.TESTS, *(f"tests/{name}" for name in re.findall(r'"([^"]+)"', long[1]))]
    assert len(listed) > len(fidelity.TESTS) and not [name for name in listed if not (ROOT / name).exists()]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_are_there(page):
    named = re.findall(r"`((?:[\w.]+/)+\w+\.py)(?::\w+)?`", page.read_text(encoding="utf-8"))
    assert not [name for name in named if not (ROOT / name).exists() and not (ROOT / "sg3x" / name).exists()]
