"""A stage's declarations in dvc.yaml: the parameters it may read, and the code it runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from sg3x.files.yaml12 import parse_yaml

ROOT = Path(__file__).parents[2]  # of the checkout that runs: dvc.yaml is beside stages/ and sg3x/


@cache
def stages() -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml by name; of a foreach stage, what it does for each item."""
    pipeline = parse_yaml((ROOT / "dvc.yaml").read_bytes())
    return {name: entry.get("do", entry) for name, entry in pipeline["stages"].items()}


def declared_params(stage: str) -> tuple[str, ...]:
    """The dotted keys of params.yaml that `stage` may read."""
    return tuple(stages()[stage].get("params", ()))


def declared_code(stage: str) -> tuple[str, ...]:
    """Files and folders of code that `stage` runs, below the repository's root."""
    return tuple(dep for dep in stages()[stage]["deps"] if dep.startswith(("stages/", "sg3x/")))
