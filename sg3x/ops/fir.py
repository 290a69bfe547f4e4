"""FIR resampling of images as linear maps, axis by axis: their definition, sizes and adjoints.

For one axis, zero-insertion by `up`, padding, FIR and decimation by `down` are together the linear map
    y[o] = sum_i g[i * up + pad0 - o * down] x[i],
where g is the filter as a correlation. Its adjoint is of the same kind: `up` and `down` change places and g turns round.
How a map is computed is the operators' business (`upfirdn2d`, `filtered_lrelu`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

# A filter as nested tuples: hashable, so that matrices are cached and filters can be static arguments.
Taps = tuple[float, ...]


class Fir(NamedTuple):
    """y[o] = sum_i taps[i * up + pad0 - o * down] x[i] for x of `size` and y of `out` samples; taps outside are zero."""

    taps: Taps
    size: int
    up: int
    down: int
    pad0: int
    out: int

    @property
    def transposed(self) -> Fir:
        """The adjoint: sum_o taps[i * up + pad0 - o * down] y[o]."""
        last = len(self.taps) - 1
        return Fir(self.taps[::-1], self.out, self.down, self.up, last - self.pad0, self.size)


def w_goes_first(w: tuple[int, int], h: tuple[int, int]) -> bool:
    """True if the FIR along W comes before the one along H; each takes (samples in, samples out).

    First comes the one that leaves less to compute on the other axis. Of two equal ones the high rate goes along H, in long
    rows.
    """
    grows = w[1] * h[0] - h[1] * w[0]
    return grows < 0 or (grows == 0 and w[1] > w[0])


def output_size(size: int, numtaps: int, up: int, down: int, pad0: int, pad1: int) -> int:
    """Number of samples after up, pad, FIR ("valid") and down."""
    padded = size * up + pad0 + pad1
    if padded < numtaps:
        raise ValueError(
            f"the padded signal has {padded} samples (size {size}, up {up}, padding {pad0}, {pad1}), "
            f"shorter than the filter's {numtaps} taps: enlarge padding"
        )
    return (padded - numtaps) // down + 1


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

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H', W') of the map's result for a picture of `size` (H, W)."""
        return (self.axes[0][1].out, self.axes[0][0].out) if self.axes else size

    @property
    def transposed(self) -> Resampling:
        """The adjoint map."""
        return Resampling(tuple((w.transposed, h.transposed) for w, h in self.axes), self.gain)


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
