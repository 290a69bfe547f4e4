"""sg3x: StyleGAN3 in JAX, reproducible to the byte.

    import sg3x
    G = sg3x.load_generator("models/generator")     # an exported or imported directory, a checkpoint, or an NVIDIA pickle
    images = G(z, truncation_psi=0.7)               # float32[N, R, R, channels], about -1..1; G is a flax.nnx.Module

The rooms (`sg3x.ops`, `sg3x.networks`, ...) are attributes; each is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sg3x.loading import load_discriminator, load_generator
    from sg3x.networks import on_devices

__version__ = "0.1.0"

_HOMES = {
    "load_discriminator": "sg3x.loading",
    "load_generator": "sg3x.loading",
    "on_devices": "sg3x.networks",
}
__all__ = ["load_discriminator", "load_generator", "on_devices"]

_ROOMS = (
    "config",
    "data",
    "drawing",
    "files",
    "interop",
    "loading",
    "metrics",
    "networks",
    "ops",
    "preflight",
    "render",
    "report",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"sg3x.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sg3x' has no attribute {name!r}; it has {', '.join(sorted((*_ROOMS, *__all__)))}")


def __dir__() -> list[str]:
    return sorted((*_ROOMS, *__all__, "__version__"))
