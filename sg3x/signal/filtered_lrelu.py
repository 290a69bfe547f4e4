"""filtered_lrelu: the alias-free nonlinearity (StyleGAN3 paper, section 3.2 and appendix C.2).

    y = down( fd * clamp( gain * lrelu( up^2 * fu * pad( zero_insert( x + b ) ) ) ) )

Formulations behind one signature, all held to the same golden arrays:
* "reference": the formula, with depthwise convolutions and automatic differentiation. Slow.
* "banded": both FIRs as banded matrices along H and W, with a hand-written gradient that keeps only x. TPU and GPU.
* "chunked": the same a few samples or channels at a time, so that the high-rate signal stays in a CPU's cache, and
  with most of the matrices' zeros left out. CPU.
`SG3X_FILTERED_LRELU`, set to one of these names in the environment, overrides the choice everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.signal.banded import Resampling, Taps, as_taps, resampling
from sg3x.signal.place import on_one_device
from sg3x.signal.upfirdn import parse_padding, parse_pair, upfirdn2d_reference

FORMULATIONS = ("banded", "chunked", "reference")
CHUNK_BYTES = 4 * 2**20  # of high-rate signal; measured on CPUs with 0.5 to 32 MiB of cache


class _Spec(NamedTuple):
    """Everything static about one call: hashable, so that it can be a non-differentiable argument."""

    fu: Taps | tuple[Taps, ...] | None
    fd: Taps | tuple[Taps, ...] | None
    up: tuple[int, int]
    down: tuple[int, int]
    padding: tuple[int, int, int, int]
    gain: float
    slope: float
    clamp: float | None
    flip_filter: bool


def filtered_lrelu(
    x: jax.Array,
    fu: np.ndarray | None = None,
    fd: np.ndarray | None = None,
    b: jax.Array | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = 2**0.5,
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
    impl: str | None = None,
) -> jax.Array:
    """Bias, upsampling FIR, leaky ReLU, clamp and downsampling FIR.

    Args:
        x: float[N, H, W, C].
        fu, fd: up- and downsampling filters, float[taps] or float[taps, taps]; None is the identity. Not traced.
        b: float[C], added before the zero padding; None for no bias.
        up, down: integer factors.
        padding: on the upsampled grid, before `fu`: scalar, [x, y] or [x0, x1, y0, y1]; negative crops.
        gain, slope: of the leaky ReLU. clamp: largest magnitude after the gain, at the high rate; None for no limit.
        flip_filter: true filters by correlation instead of convolution.
        impl: formulation; None takes `SG3X_FILTERED_LRELU`, or what is best for the platform.

    Returns:
        float[N, H', W', C], H' = floor((H * up + y0 + y1 - (taps_u - 1) - (taps_d - 1) + down - 1) / down).
    """
    x = jnp.asarray(x)
    impl = impl or os.environ.get("SG3X_FILTERED_LRELU") or default_formulation()
    if impl not in FORMULATIONS:
        raise ValueError(f"filtered_lrelu formulation {impl!r} must be one of {', '.join(FORMULATIONS)}")
    if clamp is not None and clamp < 0:
        raise ValueError(f"clamp={clamp} must be None or at least 0")
    fu_taps = as_taps(None if fu is None else np.asarray(fu))
    fd_taps = as_taps(None if fd is None else np.asarray(fd))
    spec = _Spec(
        fu_taps, fd_taps, parse_pair(up, "up"), parse_pair(down, "down"), parse_padding(padding),
        float(gain), float(slope), None if clamp is None else float(clamp), flip_filter,
    )  # fmt: skip
    if b is not None:
        x = x + jnp.asarray(b, x.dtype)
    if impl == "reference":
        return _reference(spec, x)
    return _banded(spec, impl == "chunked", x)


def default_formulation() -> str:
    """Chunked on a CPU that is one device: cutting a batch that is spread over several would gather it."""
    return "chunked" if jax.default_backend() == "cpu" and on_one_device() else "banded"


def _activate(spec: _Spec, v: jax.Array) -> jax.Array:
    a = jnp.where(v >= 0, v * spec.gain, v * (spec.slope * spec.gain))
    return a if spec.clamp is None else jnp.clip(a, -spec.clamp, spec.clamp)


def _activation_slope(spec: _Spec, v: jax.Array) -> jax.Array:
    """d activate / d v, zero where clamped."""
    slope = jnp.where(v >= 0, spec.gain, spec.gain * spec.slope).astype(v.dtype)
    return slope if spec.clamp is None else jnp.where(jnp.abs(v * slope) <= spec.clamp, slope, 0)


def _reference(spec: _Spec, x: jax.Array) -> jax.Array:
    fu = None if spec.fu is None else np.asarray(spec.fu)
    fd = None if spec.fd is None else np.asarray(spec.fd)
    gain = float(spec.up[0] * spec.up[1])
    v = upfirdn2d_reference(x, fu, spec.up, (1, 1), spec.padding, gain, spec.flip_filter)
    return upfirdn2d_reference(_activate(spec, v), fd, (1, 1), spec.down, (0, 0, 0, 0), 1.0, spec.flip_filter)


def _resamplers(spec: _Spec, size: tuple[int, int]) -> tuple[Resampling, Resampling]:
    """The up- and the downsampling FIR for inputs of `size` (H, W)."""
    gain = float(spec.up[0] * spec.up[1])
    up = resampling(spec.fu, size, spec.up, (1, 1), spec.padding, spec.flip_filter, gain)
    high = (up.pairs[0][1].shape[0], up.pairs[0][0].shape[0]) if up.pairs else size
    return up, resampling(spec.fd, high, (1, 1), spec.down, (0, 0, 0, 0), spec.flip_filter, 1.0)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _banded(spec: _Spec, chunked: bool, x: jax.Array) -> jax.Array:
    up, down = _resamplers(spec, (x.shape[1], x.shape[2]))

    def forward(x: jax.Array) -> jax.Array:
        return down(_activate(spec, up(x)))

    return _in_chunks(forward, up, x) if chunked else forward(x)


def _banded_fwd(spec: _Spec, chunked: bool, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _banded(spec, chunked, x), x


def _banded_bwd(spec: _Spec, chunked: bool, x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    # Only x is kept: the high-rate signal is cheaper to compute again than to store.
    up, down = _resamplers(spec, (x.shape[1], x.shape[2]))

    def backward(x: jax.Array, dy: jax.Array) -> jax.Array:
        return up.transpose(down.transpose(dy) * _activation_slope(spec, up(x)))

    return (_in_chunks(backward, up, x, dy) if chunked else backward(x, dy),)


_banded.defvjp(_banded_fwd, _banded_bwd)


def _in_chunks(function: Callable[..., jax.Array], up: Resampling, x: jax.Array, *more: jax.Array) -> jax.Array:
    """function(x, *more) on [N, H, W, C] arrays, a few samples or, where one is too large, some of its channels at a
    time, as [H, W, K] inside: long rows for matmuls, a high-rate signal of about CHUNK_BYTES."""
    n, h, w, c = x.shape
    high = up.pairs[0][1].shape[0] * up.pairs[0][0].shape[0] if up.pairs else h * w
    fitting = max(1, CHUNK_BYTES // (high * x.dtype.itemsize))
    samples = max(d for d in range(1, n + 1) if n % d == 0 and d <= max(1, fitting // c))
    channels = max(d for d in range(1, c + 1) if c % d == 0 and d <= max(8, fitting))

    def one(chunk: tuple[jax.Array, ...]) -> jax.Array:
        y = function(*(_rows_first(a) for a in chunk))
        return y.reshape(*y.shape[:2], samples, channels).transpose(2, 0, 1, 3)

    if samples == n and channels == c:
        return one((x, *more))
    y = jax.lax.map(one, tuple(_cut(a, samples, channels) for a in (x, *more)))
    y = y.reshape(n // samples, c // channels, samples, *y.shape[2:4], channels)
    return y.transpose(0, 2, 3, 4, 1, 5).reshape(n, *y.shape[3:5], c)


def _cut(x: jax.Array, samples: int, channels: int) -> jax.Array:
    """[N, H, W, C] -> [chunks, samples, H, W, channels]."""
    n, h, w, c = x.shape
    x = x.reshape(n // samples, samples, h, w, c // channels, channels)
    return x.transpose(0, 4, 1, 2, 3, 5).reshape(-1, samples, h, w, channels)


def _rows_first(x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [H, W, N * C], the layout without a batch axis that `Resampling` knows."""
    return x.transpose(1, 2, 0, 3).reshape(*x.shape[1:3], -1)
