"""FIR resampling along one axis as a sum of shifted copies of the picture, one per tap: no multiplication by zero.

XLA makes one loop of the sum, over the innermost axis in vectors. On a CPU that runs at a third of the speed of a large
matrix product, which as a banded matrix multiplies five times as much and as small ones is slower still.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from sg3x.ops.fir import Fir, Resampling, w_goes_first
from sg3x.ops.upfirdn2d.banded import resample_banded, resampling_matrix


@partial(jax.custom_vjp, nondiff_argnums=(0,))
@partial(jax.jit, static_argnums=0, inline=True)  # one program also where nothing around is compiled
def resample_shifted(sampling: Resampling, x: jax.Array) -> jax.Array:
    """The map as sums of shifted pictures, without a multiplication by zero: what a CPU is fastest at.

    Its gradient is of the same kind, to any order: automatic differentiation would add up as many padded pictures as there
    are taps.
    """
    if not sampling.axes:
        return resample_banded(sampling, x)
    total = None
    for w, h in sampling.axes:
        y, axes = x, ((w, 2), (h, 1))
        for fir, axis in axes if w_goes_first((w.size, w.out), (h.size, h.out)) else axes[::-1]:
            y = _along(fir, y, axis)
        total = y if total is None else total + y
    assert total is not None
    return total


def _along(fir: Fir, x: jax.Array, axis: int) -> jax.Array:
    if fir.up == 1 or fir.down == 1:
        return shifted_sum(fir, x, axis)
    return jnp.moveaxis(jnp.tensordot(jnp.asarray(resampling_matrix(fir), x.dtype), x, (1, axis)), 0, axis)


def _resample_shifted_fwd(sampling: Resampling, x: jax.Array) -> tuple[jax.Array, None]:
    return resample_shifted(sampling, x), None


def _resample_shifted_bwd(sampling: Resampling, _: None, dy: jax.Array) -> tuple[jax.Array]:
    return (resample_shifted(sampling.transposed, dy),)


resample_shifted.defvjp(_resample_shifted_fwd, _resample_shifted_bwd)


def shifted_sum(fir: Fir, x: jax.Array, axis: int) -> jax.Array:
    """The map of `fir` along an axis of x, which is not the last; `up` or `down` must be 1. Sums in float32 at least."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (_decimated(fir, wide, axis) if fir.up == 1 else _interpolated(fir, wide, axis)).astype(x.dtype)


def _padded(x: jax.Array, axis: int, before: int, length: int) -> jax.Array:
    """x with zeros `before` it (fewer than 0: cropped) and after it, to `length` samples."""
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (before, length - x.shape[axis] - before, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _decimated(fir: Fir, x: jax.Array, axis: int) -> jax.Array:
    """up = 1: y[o] = sum_t taps[t] x[o * down + t - pad0]."""
    blocks = fir.out + (len(fir.taps) - 1) // fir.down  # of `down` samples
    x = _padded(x, axis, fir.pad0, blocks * fir.down)
    x = x.reshape(*x.shape[:axis], blocks, fir.down, *x.shape[axis + 1 :])
    parts = []
    for t, tap in enumerate(fir.taps):
        phase = lax.index_in_dim(x, t % fir.down, axis + 1, keepdims=False)
        parts.append(lax.slice_in_dim(phase, t // fir.down, t // fir.down + fir.out, axis=axis) * tap)
    return _sum(parts)


def _interpolated(fir: Fir, x: jax.Array, axis: int) -> jax.Array:
    """down = 1: each of the `up` phases y[q * up + r] = sum_s taps[s * up + pad0 - r] x[q + s]."""
    count = -(-fir.out // fir.up)
    first, last = -(fir.pad0 // fir.up), (len(fir.taps) + fir.up - 2 - fir.pad0) // fir.up
    x = _padded(x, axis, -first, count + last - first)
    phases = []
    for r in range(fir.up):
        shifts = [s for s in range(first, last + 1) if 0 <= s * fir.up + fir.pad0 - r < len(fir.taps)]
        parts = [
            lax.slice_in_dim(x, s - first, s - first + count, axis=axis) * fir.taps[s * fir.up + fir.pad0 - r]
            for s in shifts
        ]
        phases.append(_sum(parts) if parts else jnp.zeros_like(lax.slice_in_dim(x, 0, count, axis=axis)))
    y = jnp.stack(phases, axis + 1)
    y = y.reshape(*y.shape[:axis], count * fir.up, *y.shape[axis + 2 :])
    return lax.slice_in_dim(y, 0, fir.out, axis=axis)


def _sum(parts: list[jax.Array]) -> jax.Array:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
