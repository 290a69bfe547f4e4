"""How the training programs are compiled."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

# XLA's CPU backend has two libraries for matrix products. Eigen's are the faster ones at most sizes of these networks (not for
# few rows times a transposed matrix: docs/performance.md); YNNPACK keeps the reductions.
_CPU: dict[str, Any] = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}
_GPU: dict[str, Any] = {"xla_gpu_deterministic_ops": True, "xla_gpu_autotune_level": 0}


def compiler_options(ordered: bool) -> dict[str, Any] | None:
    """What the platform's compiler is told of a training program; bits depend on it. `ordered`: it shall add in the same
    order wherever it is compiled."""
    if jax.default_backend() == "gpu":
        return _GPU if ordered else None
    return _CPU if jax.default_backend() == "cpu" and _takes_cpu_options() else None


@cache
def _takes_cpu_options() -> bool:
    """Whether this version of XLA has them: they are experimental."""
    try:
        jax.jit(jnp.negative).lower(0.0).compile(compiler_options=_CPU)
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" in str(error):
            return False
        raise
    return True
