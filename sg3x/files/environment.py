"""The environment variables of this project: what each may be, checked before anything is computed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path


def _minutes(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False


def _folder(text: str) -> bool:
    """True if it names a folder, or a place where one can be made."""
    if not text.strip() or "\0" in text:
        return False
    try:
        return all(place.is_dir() for place in (Path(text), *Path(text).parents) if place.exists())
    except OSError:
        return False


def _one_of(*names: str) -> tuple[Callable[[str], bool], str]:
    return names.__contains__, "one of " + ", ".join(names)


_PLACE = (_folder, "a folder, or a place where one can be made")
# Name -> what is allowed, as a test and in words. A variable that only has to be there is not among them.
VARIABLES: dict[str, tuple[Callable[[str], bool], str]] = {
    "SG3X_CHECKPOINT_MINUTES": (_minutes, "a number of minutes greater than 0, as 2 or 0.5"),
    "SG3X_SCRATCH": _PLACE,
    "SG3X_DOWNLOADS": _PLACE,
    "SG3X_COMPILED": _PLACE,
    "SG3X_CONV": _one_of("lax", "matmul"),
    "SG3X_FILTERED_LRELU": _one_of("banded", "chunked", "pallas", "reference"),
    "SG3X_COMPILE_FOR": _one_of("cpu", "gpu", "tpu"),
}


def environment_problems(environment: Mapping[str, str] = os.environ) -> list[str]:
    """One line for each variable that is set to what it cannot be. An empty one is as good as none, but for a place."""
    found = []
    for name, (allowed, words) in VARIABLES.items():
        value = environment.get(name)
        if value is None or (not value and VARIABLES[name] is not _PLACE) or allowed(value):
            continue
        found.append(f"{name}={value!r} in the environment: allowed is {words}; or unset it")
    return found


def check_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Raises ValueError that names variable, value and what is allowed."""
    if found := environment_problems(environment):
        raise ValueError("\n".join(found))


def checkpoint_minutes(otherwise: float, environment: Mapping[str, str] = os.environ) -> float:
    """SG3X_CHECKPOINT_MINUTES, which overrides run.checkpoint_minutes."""
    check_environment(environment)
    return float(environment.get("SG3X_CHECKPOINT_MINUTES") or otherwise)
