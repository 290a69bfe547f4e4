"""Distances between sets of features, and what a generator is measured by."""

from __future__ import annotations

import importlib
from typing import Any

from sg3x.metrics.distances.frechet import feature_statistics, frechet_distance
from sg3x.metrics.distances.kernel import kernel_distance
from sg3x.metrics.distances.precision_recall import precision_recall

__all__ = ["feature_statistics", "frechet_distance", "kernel_distance", "precision_recall"]

_MODULES = {"equivariance": "sg3x.metrics.motion.equivariance"}  # imported when asked for, since they need JAX


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'sg3x.metrics' has no attribute {name!r}; it has {', '.join((*_MODULES, *__all__))}")
