"""upfirdn2d: zero-insertion, padding, FIR filtering and decimation of images (StyleGAN2's basic resampling operator)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.ops.calling import picture_operator
from sg3x.ops.fir import as_taps, resampling
from sg3x.ops.platform import platform
from sg3x.ops.upfirdn2d.banded import resample_banded
from sg3x.ops.upfirdn2d.reference import upfirdn2d_reference
from sg3x.ops.upfirdn2d.shifted import resample_shifted


def parse_pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """A scalar or [x, y] pair of positive factors as a pair."""
    pair = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(pair) != 2 or any(int(v) != v or v < 1 for v in pair):
        raise ValueError(f"{name}={value} must be a positive integer or a pair [x, y] of them")
    return int(pair[0]), int(pair[1])


def parse_padding(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """A scalar, [x, y] or [x0, x1, y0, y1] as (x0, x1, y0, y1); negative crops."""
    values = [padding] if isinstance(padding, (int, np.integer)) else list(padding)
    if len(values) == 1:
        values = values * 4
    elif len(values) == 2:
        values = [values[0], values[0], values[1], values[1]]
    if len(values) != 4:
        raise ValueError(f"padding={padding} must be a number, [x, y] or [x0, x1, y0, y1]")
    x0, x1, y0, y1 = (int(v) for v in values)
    return x0, x1, y0, y1


@picture_operator
def upfirdn2d(
    x: jax.Array,
    f: np.ndarray | jax.Array | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    gain: float = 1.0,
    flip_filter: bool = False,
    impl: str | None = None,
) -> jax.Array:
    """Upsamples (zeros after every sample), pads or crops, filters ("valid") and decimates images.

    Args:
        x: float[N, H, W, C].
        f: float[taps] (separable), float[taps_y, taps_x], or None for no filter. Not traced.
        up, down: integer factors, scalar or [x, y].
        padding: on the upsampled grid, scalar, [x, y] or [x0, x1, y0, y1]; negative values crop.
        gain: scales the whole two-dimensional result.
        flip_filter: false is a convolution (taps reversed against the image), true a correlation.
        impl: "banded" (matmuls), "shifted" (sums of shifted pictures) or "reference" (one depthwise convolution; plain,
            slow); None takes `SG3X_UPFIRDN2D`, or what is best for the platform: shifted on a CPU.

    Returns:
        float[N, H', W', C] with H' = (H * up + y0 + y1 - taps) // down + 1, likewise W'.
    """
    x = jnp.asarray(x)
    up, down, padding = parse_pair(up, "up"), parse_pair(down, "down"), parse_padding(padding)
    impl = impl or os.environ.get("SG3X_UPFIRDN2D") or ("shifted" if platform() == "cpu" else "banded")
    if impl == "reference":
        return upfirdn2d_reference(x, f, up, down, padding, gain, flip_filter)
    if impl not in ("banded", "shifted"):
        raise ValueError(f"upfirdn2d's impl={impl!r} (or SG3X_UPFIRDN2D) must be 'banded', 'shifted' or 'reference'")
    taps = as_taps(None if f is None else np.asarray(f))
    sampling = resampling(taps, (x.shape[1], x.shape[2]), up, down, padding, flip_filter, gain)
    return resample_shifted(sampling, x) if impl == "shifted" else resample_banded(sampling, x)


def filter_shape(f: np.ndarray | None) -> tuple[int, int]:
    """(taps_x, taps_y) of a filter; None counts as one tap."""
    if f is None:
        return 1, 1
    f = np.asarray(f)
    return (f.shape[0], f.shape[0]) if f.ndim == 1 else (f.shape[1], f.shape[0])


def filter2d(x, f, padding: int | Sequence[int] = 0, flip_filter: bool = False, gain: float = 1.0) -> jax.Array:
    """FIR filtering that keeps the size of x[N, H, W, C]; `padding` comes on top."""
    (tx, ty), (x0, x1, y0, y1) = filter_shape(f), parse_padding(padding)
    pad = (x0 + tx // 2, x1 + (tx - 1) // 2, y0 + ty // 2, y1 + (ty - 1) // 2)
    return upfirdn2d(x, f, padding=pad, flip_filter=flip_filter, gain=gain)


def upsample2d(x, f, up=2, padding: int | Sequence[int] = 0, flip_filter: bool = False, gain: float = 1.0) -> jax.Array:
    """Upsampling of x[N, H, W, C] by `up`, keeping the picture's brightness and position."""
    (tx, ty), (x0, x1, y0, y1), (ux, uy) = filter_shape(f), parse_padding(padding), parse_pair(up, "up")
    pad = (x0 + (tx + ux - 1) // 2, x1 + (tx - ux) // 2, y0 + (ty + uy - 1) // 2, y1 + (ty - uy) // 2)
    return upfirdn2d(x, f, up=(ux, uy), padding=pad, flip_filter=flip_filter, gain=gain * ux * uy)


def downsample2d(
    x, f, down=2, padding: int | Sequence[int] = 0, flip_filter: bool = False, gain: float = 1.0
) -> jax.Array:
    """Downsampling of x[N, H, W, C] by `down`, keeping the picture's position."""
    (tx, ty), (x0, x1, y0, y1), (dx, dy) = filter_shape(f), parse_padding(padding), parse_pair(down, "down")
    pad = (x0 + (tx - dx + 1) // 2, x1 + (tx - dx) // 2, y0 + (ty - dy + 1) // 2, y1 + (ty - dy) // 2)
    return upfirdn2d(x, f, down=(dx, dy), padding=pad, flip_filter=flip_filter, gain=gain)
