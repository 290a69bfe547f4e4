"""sg3x: StyleGAN3 in JAX, reproducible to the byte.

    import sg3x
    G = sg3x.load_generator("models/generator")     # an exported or imported directory, a checkpoint, or an NVIDIA pickle
    images = G(z, truncation_psi=0.7)               # float32[N, R, R, channels], about -1..1

The rooms (`sg3x.signal`, `sg3x.networks`, ...) are attributes; each is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sg3x.loading import load_discriminator, load_generator

__version__ = "0.1.0"

__all__ = ["load_discriminator", "load_generator"]

_ROOMS = (
    "config",
    "data",
    "drawing",
    "files",
    "interop",
    "loading",
    "metrics",
    "networks",
    "preflight",
    "render",
    "report",
    "signal",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"sg3x.{name}")
    if name in __all__:
        return getattr(importlib.import_module("sg3x.loading"), name)
    raise AttributeError(f"module 'sg3x' has no attribute {name!r}; it has {', '.join(sorted((*_ROOMS, *__all__)))}")


def __dir__() -> list[str]:
    return sorted((*_ROOMS, *__all__, "__version__"))
