"""Text of strangers' files as it may be shown: nothing in it moves the cursor, changes colours or hides other text."""

from __future__ import annotations

from typing import Any

_LONGEST = 300


def printable(text: Any, longest: int = _LONGEST) -> str:
    r"""`text` with everything unprintable written out, as \x1b or \u202e, and cut after `longest` characters."""
    whole = text if isinstance(text, str) else str(text)
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole[:longest])
    return shown if len(whole) <= longest else f"{shown}… ({len(whole)} characters)"


def printable_values(value: Any, longest: int = 10_000) -> Any:
    """Plain JSON with every text in it, keys included, as `printable` shows it."""
    if isinstance(value, str):
        return printable(value, longest)
    if isinstance(value, dict):
        return {printable(key, longest): printable_values(item, longest) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable_values(item, longest) for item in value]
    return value
