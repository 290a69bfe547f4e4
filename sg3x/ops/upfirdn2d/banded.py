"""FIR resampling as banded matrices along H and W: matrix products instead of a depthwise convolution.

Matrices are built in float64 with numpy, once per shape.
"""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.ops.fir import Fir, Resampling


@lru_cache(maxsize=512)
def resampling_matrix(fir: Fir) -> np.ndarray:
    """The matrix of the map above, float32[fir.out, fir.size]."""
    tap = np.arange(fir.size)[None, :] * fir.up + fir.pad0 - np.arange(fir.out)[:, None] * fir.down
    inside = (tap >= 0) & (tap < len(fir.taps))
    matrix = np.where(inside, np.asarray(fir.taps, np.float64)[np.clip(tap, 0, len(fir.taps) - 1)], 0.0)
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def along_h(matrix: np.ndarray | jax.Array, x: jax.Array) -> jax.Array:
    """matrix[P, H] applied to the rows of x[N, H, W, C] -> [N, P, W, C]."""
    return jnp.einsum("ph,nhwc->npwc", jnp.asarray(matrix, x.dtype), x)


def along_w(matrix: np.ndarray | jax.Array, x: jax.Array) -> jax.Array:
    """matrix[P, W] applied to the columns of x[N, H, W, C] -> [N, H, P, C]."""
    return jnp.einsum("pw,nhwc->nhpc", jnp.asarray(matrix, x.dtype), x)


def matrices(sampling: Resampling) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """(along W, along H) of each separable map of a resampling."""
    return tuple((resampling_matrix(w), resampling_matrix(h)) for w, h in sampling.axes)


def resample_banded(sampling: Resampling, x: jax.Array) -> jax.Array:
    """x[N, H, W, C] -> [N, H', W', C] by matrices."""
    if not sampling.axes:
        return x if sampling.gain == 1 else x * sampling.gain
    total = None
    for w, h in sampling.axes:
        # The axis that shrinks most goes first: less to compute on the other one.
        if w.out * h.size <= h.out * w.size:
            y = along_h(resampling_matrix(h), along_w(resampling_matrix(w), x))
        else:
            y = along_w(resampling_matrix(w), along_h(resampling_matrix(h), x))
        total = y if total is None else total + y
    assert total is not None
    return total
