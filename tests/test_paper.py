"""docs/paper.md: every file and name it points to exists, and every row points to something."""

import re

import pytest

from tests.paper import PAGE, PLACE, defined, is_there, moved, places

TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "name"), places(TEXT))
def test_what_the_map_names_is_there(file, name):
    assert is_there(file, name), "`python -m tests.paper` follows what has moved"


def test_every_row_leads_to_code():
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and not re.match(r"\|(---| paper )", line)]
    assert len(rows) >= 25
    for row in rows:
        cell = row.rsplit("|", 2)[1]
        assert PLACE.search(cell) and not PLACE.sub("", cell).strip("; "), row


@pytest.mark.parametrize("name", ["Class", "Class.method", "function", "CONSTANT", "TYPED"])
def test_definitions_are_seen(name, tmp_path):
    code = "CONSTANT = 1\nTYPED: int = 2\nclass Class:\n    def method(self): ...\ndef function(): inner = 3\n"
    (tmp_path / "a.py").write_text(code)
    assert name in defined(tmp_path / "a.py") and "inner" not in defined(tmp_path / "a.py")


def test_a_name_is_followed_to_its_new_file():
    assert moved(PLACE.match("`losses.py`: `r1_penalty`, `blur_sigma`")).endswith(
        "/losses.py`: `r1_penalty`, `blur_sigma`"
    )
    assert moved(PLACE.match("`networks/mapping.py`: `truncate`")) == "`networks/mapping.py`: `truncate`"
    with pytest.raises(SystemExit, match="by hand"):
        moved(PLACE.match("`gone.py`: `nowhere`"))
