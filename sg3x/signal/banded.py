"""FIR resampling of images, axis by axis, as banded matrices: a matmul instead of a depthwise convolution; or, on a CPU, as
sums of shifted pictures (`shifted.py`).

For one axis, zero-insertion by `up`, padding, FIR and decimation by `down` are together the linear map
    y[o] = sum_i g[i * up + pad0 - o * down] x[i],
where g is the filter as a correlation. Its adjoint is of the same kind: `up` and `down` change places and g turns round.
Matrices are built in float64 with numpy, once per shape.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.signal.shifted import Fir, Taps, shifted_sum, w_goes_first


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
    """Up, pad, FIR, down of images: a sum of separable maps, (along W, along H) each. None: the identity."""

    axes: tuple[tuple[Fir, Fir], ...]
    gain: float

    @property
    def pairs(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """The maps' matrices."""
        return tuple((resampling_matrix(w), resampling_matrix(h)) for w, h in self.axes)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H', W') of the map's result for a picture of `size` (H, W)."""
        return (self.axes[0][1].out, self.axes[0][0].out) if self.axes else size

    @property
    def transposed(self) -> Resampling:
        """The adjoint map."""
        return Resampling(tuple((w.transposed, h.transposed) for w, h in self.axes), self.gain)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x[N, H, W, C] -> [N, H', W', C] by matrices."""
        if not self.axes:
            return x if self.gain == 1 else x * self.gain
        total = None
        for w, h in self.axes:
            # The axis that shrinks most goes first: less to compute on the other one.
            if w.out * h.size <= h.out * w.size:
                y = along_h(resampling_matrix(h), along_w(resampling_matrix(w), x))
            else:
                y = along_w(resampling_matrix(w), along_h(resampling_matrix(h), x))
            total = y if total is None else total + y
        assert total is not None
        return total


@partial(jax.custom_vjp, nondiff_argnums=(0,))
@partial(jax.jit, static_argnums=0, inline=True)  # one program also where nothing around is compiled
def resample_shifted(resampling: Resampling, x: jax.Array) -> jax.Array:
    """resampling(x) as sums of shifted pictures, without a multiplication by zero: what a CPU is fastest at.

    Its gradient is of the same kind, to any order: automatic differentiation would add up as many padded pictures as there
    are taps.
    """
    if not resampling.axes:
        return resampling(x)
    total = None
    for w, h in resampling.axes:
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


def _resample_shifted_fwd(resampling: Resampling, x: jax.Array) -> tuple[jax.Array, None]:
    return resample_shifted(resampling, x), None


def _resample_shifted_bwd(resampling: Resampling, _: None, dy: jax.Array) -> tuple[jax.Array]:
    return (resample_shifted(resampling.transposed, dy),)


resample_shifted.defvjp(_resample_shifted_fwd, _resample_shifted_bwd)


def resampling(
    taps: Taps | tuple[Taps, ...] | None,
    size: tuple[int, int],
    up: tuple[int, int],
    down: tuple[int, int],
    padding: tuple[int, int, int, int],
    flip_filter: bool,
    gain: float,
) -> Resampling:
    """The map for images of `size` (H, W); `up`, `down` as (x, y), padding (x0, x1, y0, y1)."""
    x0, x1, y0, y1 = padding
    if taps is None:
        if up == down == (1, 1) and padding == (0, 0, 0, 0):
            return Resampling((), gain)
        taps = (1.0,)
    terms = ((taps, taps),) if not isinstance(taps[0], tuple) else separable_terms(taps)
    axes = []
    for vertical, horizontal in terms:
        if not flip_filter:  # true convolution: the taps are reversed against the image
            vertical, horizontal = vertical[::-1], horizontal[::-1]
        horizontal = tuple(t * gain for t in horizontal)
        columns = output_size(size[1], len(horizontal), up[0], down[0], x0, x1)
        rows = output_size(size[0], len(vertical), up[1], down[1], y0, y1)
        along = Fir(horizontal, size[1], up[0], down[0], x0, columns), Fir(vertical, size[0], up[1], down[1], y0, rows)
        axes.append(along)
    return Resampling(tuple(axes), 1.0)
