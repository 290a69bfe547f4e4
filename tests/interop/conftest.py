"""Paths of golden files that are not arrays."""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def golden_file():
    return lambda name: GOLDEN / name
