"""Networks that others trained. The reader of pickles (`unpickle`) needs no network: `nvidia` is imported when asked for."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["nvidia"]


def __getattr__(name: str) -> Any:
    if name == "nvidia":
        return importlib.import_module("sg3x.interop.nvidia")
    raise AttributeError(f"module 'sg3x.interop' has no attribute {name!r}; it has nvidia")
