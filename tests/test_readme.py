"""The README's table of results is what the committed demo measured."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows() -> list[tuple[str, str]]:
    """(key of results/metrics.json, value as printed) of the table under «Results»."""
    section = README.split("\n## Results\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section, flags=re.MULTILINE)


def test_the_table_has_rows():
    assert len(rows()) >= 8


@pytest.mark.parametrize(("key", "printed"), rows())
def test_printed_values_are_the_measured_ones(key, printed):
    measured = json.loads((ROOT / "results" / "metrics.json").read_text())[key]
    decimals = len(printed.partition(".")[2])
    assert float(printed.replace(",", "")) == round(measured, decimals)


def test_every_picture_and_page_it_names_is_there():
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert linked
    for name in linked:
        assert (ROOT / name).exists(), name
