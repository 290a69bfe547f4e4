"""Whatever opens a picture names the formats it expects: Pillow's other decoders can start programs (EPS: Ghostscript)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [file for room in ("sg3x", "stages", "benchmarks") for file in sorted((ROOT / room).rglob("*.py"))]
# Readers that choose a decoder by the content and cannot be told which.
FORBIDDEN = {"imread", "mimread", "mimopen", "imopen", "imiter", "imdecode", "open_image", "fromqimage", "get_reader"}


def careless(source: str) -> list[int]:
    """Lines that open a picture without naming its formats."""
    tree = ast.parse(source)
    opens = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "PIL.Image"
        for alias in node.names
        if alias.name == "open"
    }
    return [
        call.lineno
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and not _careful(call)
        and (_is_open(call.func, opens) or _name(call.func) in FORBIDDEN)
    ]


def _careful(call: ast.Call) -> bool:
    return _name(call.func) not in FORBIDDEN and any(keyword.arg == "formats" for keyword in call.keywords)


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _is_open(called: ast.expr, opens: set[str]) -> bool:
    if isinstance(called, ast.Attribute):
        return called.attr == "open" and "Image" in _name(called.value)
    return _name(called) in opens


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_whatever_opens_a_picture_names_its_formats(file):
    assert careless(file.read_text()) == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("Image.open(a)", [1]),
        ("Image.open(a, formats=('PNG',))", []),
        ("import PIL.Image\nPIL.Image.open(a)", [2]),
        ("from PIL import Image as PILImage\nPILImage.open(a)", [2]),
        ("from PIL.Image import open as read\nread(a)", [2]),
        ("import imageio\nimageio.imread(a, formats=1)", [2]),
        ("plt.imread(a)", [1]),
        ("open(a)\npath.open()\nzip.open(a)", []),
    ],
)
def test_the_check_sees_every_way_to_open_one(source, lines):
    assert careless(source) == lines
