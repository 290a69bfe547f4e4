"""filtered_lrelu with both FIRs as banded matrices, and a hand-written gradient that keeps only x. For TPUs and GPUs."""

from __future__ import annotations

from functools import partial

import jax

from sg3x.ops.filtered_lrelu.spec import Spec, activate, activation_slope, resamplers
from sg3x.ops.upfirdn2d.banded import resample_banded


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def filtered_lrelu_banded(spec: Spec, x: jax.Array) -> jax.Array:
    """One FIR after the other, by matrices."""
    up, down = resamplers(spec, (x.shape[1], x.shape[2]))
    return resample_banded(down, activate(spec, resample_banded(up, x)))


def _forward(spec: Spec, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return filtered_lrelu_banded(spec, x), x


def _backward(spec: Spec, x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    # Only x is kept: the high-rate signal is cheaper to compute again than to store.
    up, down = resamplers(spec, (x.shape[1], x.shape[2]))
    slope = activation_slope(spec, resample_banded(up, x))
    return (resample_banded(up.transposed, resample_banded(down.transposed, dy) * slope),)


filtered_lrelu_banded.defvjp(_forward, _backward)
