"""Limits on the numbers of a network. Larger ones are no network's, and would only fill memory or time."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int
    optional: bool = False

    def check(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
            raise ValueError(self.allowed)
        value = operator.index(value)
        if not self.least <= value <= self.most:
            raise ValueError(self.allowed)
        return value

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.least} to {self.most}" + (" or null" if self.optional else "")


@dataclass(frozen=True)
class Number:
    """A finite number from `least` to `most`."""

    least: float
    most: float
    optional: bool = False

    def check(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        value = value.item() if isinstance(value, np.generic) else value
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and self.least <= value <= self.most):
            raise ValueError(self.allowed)
        return value

    @property
    def allowed(self) -> str:
        return f"a finite number from {self.least:g} to {self.most:g}" + (" or null" if self.optional else "")


@dataclass(frozen=True)
class Flag:
    """True or false."""

    allowed: str = "true or false"

    def check(self, value: Any) -> Any:
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(self.allowed)
        return bool(value)


@dataclass(frozen=True)
class OneOf:
    """One of some texts."""

    values: tuple[str, ...]

    def check(self, value: Any) -> Any:
        if not isinstance(value, str) or value not in self.values:
            raise ValueError(self.allowed)
        return value

    @property
    def allowed(self) -> str:
        return " or ".join(repr(value) for value in self.values)


@dataclass(frozen=True)
class Wholes:
    """A list of whole numbers, or none."""

    item: Whole
    most: int

    def check(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, (list, tuple, np.ndarray)) or not 0 < len(value) <= self.most:
            raise ValueError(self.allowed)
        try:
            return tuple(self.item.check(item) for item in value)
        except ValueError:
            raise ValueError(self.allowed) from None

    @property
    def allowed(self) -> str:
        return f"null or a list of up to {self.most} of {self.item.allowed}"


Limit = Whole | Number | Flag | OneOf | Wholes

WIDTH = Whole(1, 65536)
LAYERS = 64
PRECISION = OneOf(("float32", "bfloat16"))
LARGEST_PICTURE = 4096


def check_fields(config: Any, limits: Mapping[str, Limit]) -> None:
    """Holds every field of a frozen dataclass to its limit; numpy's numbers become Python's.

    Raises:
        ValueError: names the field, its value and what is allowed.
    """
    for name, limit in limits.items():
        value = getattr(config, name)
        try:
            object.__setattr__(config, name, limit.check(value))
        except (ValueError, OverflowError):
            raise ValueError(f"{name}={_short(value)} must be {limit.allowed}") from None


def from_values(kind: type, values: Any) -> Any:
    """A configuration dataclass of plain values, as they stand in JSON.

    Raises:
        ValueError: no mapping, a key that is missing or unknown (with the nearest known one), or a value out of its limit.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"a configuration must hold keys and values, this is {_short(values)}")
    known = [f.name for f in fields(kind)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key)[:100], known, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown key {_short(key)}; the nearest known one is {near!r}")
    if "img_resolution" not in values:
        raise ValueError("key 'img_resolution' is missing")
    return kind(**values)


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"a number of {value.bit_length()} bits"
    shown = repr(value)
    return shown if len(shown) <= 100 else shown[:100] + "…"
