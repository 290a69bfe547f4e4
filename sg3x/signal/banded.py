"""FIR resampling along one axis as a banded matrix: y = A x, a matmul instead of a depthwise convolution.

For one axis, zero-insertion by `up`, padding, FIR and decimation by `down` are together the linear map
    y[o] = sum_i g[i * up + pad0 - o * down] x[i],
where g is the filter as a correlation. Matrices are built in float64 with numpy, once per shape.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# A filter as nested tuples: hashable, so that matrices are cached and filters can be static arguments.
Taps = tuple[float, ...]

TILE = 52  # about how long the longer side of a tile is in `in_tiles`; 32 to 104 were measured


def output_size(size: int, numtaps: int, up: int, down: int, pad0: int, pad1: int) -> int:
    """Number of samples after up, pad, FIR ("valid") and down."""
    padded = size * up + pad0 + pad1
    if padded < numtaps:
        raise ValueError(
            f"the padded signal has {padded} samples (size {size}, up {up}, padding {pad0}, {pad1}), "
            f"shorter than the filter's {numtaps} taps: enlarge padding"
        )
    return (padded - numtaps) // down + 1


@lru_cache(maxsize=512)
def resampling_matrix(taps: Taps, size: int, up: int, down: int, pad0: int, pad1: int) -> np.ndarray:
    """The matrix A above, float32[n_out, size]; `taps` in correlation order (already flipped)."""
    n_out = output_size(size, len(taps), up, down, pad0, pad1)
    tap = np.arange(size)[None, :] * up + pad0 - np.arange(n_out)[:, None] * down
    inside = (tap >= 0) & (tap < len(taps))
    matrix = np.where(inside, np.asarray(taps, np.float64)[np.clip(tap, 0, len(taps) - 1)], 0.0)
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def along_h(matrix: np.ndarray | jax.Array, x: jax.Array) -> jax.Array:
    """matrix[P, H] applied to the rows of x[N, H, W, C] -> [N, P, W, C], or of x[H, W, K] -> [P, W, K]."""
    matrix = jnp.asarray(matrix, x.dtype)
    if x.ndim == 3:
        return jnp.dot(matrix, x.reshape(x.shape[0], -1)).reshape(matrix.shape[0], *x.shape[1:])
    return jnp.einsum("ph,nhwc->npwc", matrix, x)


def along_w(matrix: np.ndarray | jax.Array, x: jax.Array) -> jax.Array:
    """matrix[P, W] applied to the columns of x[N, H, W, C] -> [N, H, P, C], or of x[H, W, K] -> [H, P, K]."""
    matrix = jnp.asarray(matrix, x.dtype)
    if x.ndim == 3:
        return jnp.matmul(matrix, x)
    return jnp.einsum("pw,nhwc->nhpc", matrix, x)


def in_tiles(matrix: np.ndarray, x: jax.Array, axis: int) -> jax.Array:
    """The same on axis 0 (H) or 1 (W) of x[H, W, K], leaving out most of the matrix's zeros: tiles of rows, each by the
    columns it has values in. On a CPU with long enough axes the multiplications saved outweigh the smaller products."""
    apply = along_w if axis else along_h
    tiles = max(1, round(max(matrix.shape) / TILE))
    if tiles == 1:
        return apply(matrix, x)
    parts = []
    for rows in np.array_split(matrix, tiles):
        columns = np.flatnonzero(rows.any(axis=0))
        first, last = (int(columns[0]), int(columns[-1]) + 1) if columns.size else (0, 1)
        parts.append(apply(rows[:, first:last], jax.lax.slice_in_dim(x, first, last, axis=axis)))
    return jnp.concatenate(parts, axis=axis)


@lru_cache(maxsize=128)
def separable_terms(taps2d: tuple[Taps, ...]) -> tuple[tuple[Taps, Taps], ...]:
    """Writes a 2-D filter as a sum of separable ones: f = sum_k outer(v_k, h_k), exact to float64 rounding.

    A radial filter of 12 x 12 taps is symmetric, so at most 6 terms are needed.
    """
    u, s, vt = np.linalg.svd(np.asarray(taps2d, np.float64))
    rank = int(np.sum(s > s[0] * 1e-9)) if s[0] > 0 else 1
    return tuple((tuple(u[:, k] * s[k]), tuple(vt[k])) for k in range(rank))


def as_taps(f: np.ndarray | None) -> Taps | tuple[Taps, ...] | None:
    """A concrete filter array as hashable tuples of Python floats."""
    if f is None:
        return None
    f = np.asarray(f, np.float64)
    if f.ndim == 1:
        return tuple(f.tolist())
    if f.ndim == 2:
        return tuple(tuple(row) for row in f.tolist())
    raise ValueError(f"a filter has 1 or 2 dimensions, got shape {f.shape}")


class Resampling(NamedTuple):
    """Up, pad, FIR, down of images as matrices: a sum of (along W, along H) pairs. No pairs: the identity."""

    pairs: tuple[tuple[np.ndarray, np.ndarray], ...]
    gain: float

    def __call__(self, x: jax.Array) -> jax.Array:
        """x[N, H, W, C] -> [N, H', W', C], or x[H, W, K] -> [H', W', K] (in tiles)."""
        return self._apply(x, transpose=False)

    def transpose(self, y: jax.Array) -> jax.Array:
        """The adjoint map, [N, H', W', C] -> [N, H, W, C], or [H', W', K] -> [H, W, K] (in tiles)."""
        return self._apply(y, transpose=True)

    def _apply(self, x: jax.Array, transpose: bool) -> jax.Array:
        rows = along_h if x.ndim == 4 else partial(in_tiles, axis=0)
        columns = along_w if x.ndim == 4 else partial(in_tiles, axis=1)
        if not self.pairs:
            return x if self.gain == 1 else x * self.gain
        total = None
        for wmat, hmat in self.pairs:
            wmat, hmat = (wmat.T, hmat.T) if transpose else (wmat, hmat)
            # The axis that shrinks most goes first: less to compute on the other one.
            if wmat.shape[0] * hmat.shape[1] <= hmat.shape[0] * wmat.shape[1]:
                y = rows(hmat, columns(wmat, x))
            else:
                y = columns(wmat, rows(hmat, x))
            total = y if total is None else total + y
        assert total is not None
        return total


def resampling(
    taps: Taps | tuple[Taps, ...] | None,
    size: tuple[int, int],
    up: tuple[int, int],
    down: tuple[int, int],
    padding: tuple[int, int, int, int],
    flip_filter: bool,
    gain: float,
) -> Resampling:
    """The matrices for images of `size` (H, W); `up`, `down` as (x, y), padding (x0, x1, y0, y1)."""
    x0, x1, y0, y1 = padding
    if taps is None:
        if up == down == (1, 1) and padding == (0, 0, 0, 0):
            return Resampling((), gain)
        taps = (1.0,)
    terms = ((taps, taps),) if not isinstance(taps[0], tuple) else separable_terms(taps)
    pairs = []
    for vertical, horizontal in terms:
        if not flip_filter:  # true convolution: the taps are reversed against the image
            vertical, horizontal = vertical[::-1], horizontal[::-1]
        horizontal = tuple(t * gain for t in horizontal)
        wmat = resampling_matrix(horizontal, size[1], up[0], down[0], x0, x1)
        pairs.append((wmat, resampling_matrix(vertical, size[0], up[1], down[1], y0, y1)))
    return Resampling(tuple(pairs), 1.0)
