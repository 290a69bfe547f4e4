"""The first sentence of a docstring has its subject first: it begins neither with a question word nor with «that»."""

import ast

import pytest

from tests.architecture import ROOT

QUESTIONS = {"What", "Whether", "How", "Which", "Who", "Where", "When", "That"}


def openings(text: str) -> list[str]:
    """First words of all docstrings."""
    nodes = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module))
    return [said.split()[0].rstrip(",") for node in nodes if (said := ast.get_docstring(node))]


# The files beside training's rooms, and the rooms that run a step, have docstrings of an older kind.
ROOMS = [
    p.parent for p in (ROOT / "sg3x").rglob("__init__.py") if p.parent.name not in ("training", "objective", "execute")
]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_docstrings_begin_with_their_subject(room):
    found = {f.name: set(openings(f.read_text(encoding="utf-8"))) & QUESTIONS for f in room.glob("*.py")}
    assert found and not any(found.values()), {name: words for name, words in found.items() if words}


@pytest.mark.parametrize("said", ["What it is.", "Whether so.", "Where, then?"])
def test_a_question_is_found(said):
    assert set(openings(f'def f():\n    """{said}"""\n')) & QUESTIONS
