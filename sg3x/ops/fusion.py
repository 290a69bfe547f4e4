"""Boundaries that XLA's compiler for CPUs respects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

T = TypeVar("T")


def unfused(function: Callable[..., T], *args: Any) -> T:
    """function(*args), as a computation of its own that XLA fuses with nothing around it.

    Fused into what reads it several times, a sum is computed as many times. `lax.optimization_barrier` does not help on a
    CPU: the compiler removes barriers before it fuses. It does not look into a call that may not be inlined.
    """

    def inside(*args: Any) -> T:
        with set_xla_metadata(inlineable="true"):  # the attribute is for this call, not for those that it makes
            return function(*args)

    with set_xla_metadata(inlineable="false"):
        result: T = jax.jit(inside)(*args)
    return result
