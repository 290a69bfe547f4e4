"""filtered_lrelu: the alias-free nonlinearity (StyleGAN3 paper, section 3.2 and appendix C.2).

    y = down( fd * clamp( gain * lrelu( up^2 * fu * pad( zero_insert( x + b ) ) ) ) )

Formulations behind one signature, all held to the same golden arrays:
* "reference": the formula, with depthwise convolutions and automatic differentiation. Slow.
* "banded": both FIRs as banded matrices along H and W, with a hand-written gradient that keeps only x. TPU and GPU.
* "chunked": both FIRs in polyphase form, a few channels of one picture at a time, so that the rows a FIR reads stay in a
  CPU's cache; the same gradient. CPU.
* "pallas": one TPU kernel for separable filters, the high-rate signal never leaving vector memory; see `pallas_tpu.py`.
`SG3X_FILTERED_LRELU`, set to one of these names in the environment, overrides the choice everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from math import lcm
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.signal.apart import apart
from sg3x.signal.banded import Resampling, Taps, as_taps, resampling
from sg3x.signal.calling import picture_operator
from sg3x.signal.pallas_tpu import Source, Stream, fits, run_stream
from sg3x.signal.place import on_one_device, platform
from sg3x.signal.polyphase import Grid, in_phases, joined, split, whole
from sg3x.signal.upfirdn import parse_padding, parse_pair, upfirdn2d_reference

FORMULATIONS = ("banded", "chunked", "pallas", "reference")
PALLAS_CHANNELS = 96
# A chunk's rows are about this long in each phase: of those that a FIR reads at once half a core's 512 KiB of cache hold all.
# Chunks are whole lines of the cache, of so many channels.
ROW_BYTES, LINE = 12 * 1024, 16


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


@picture_operator
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
    impl = impl or os.environ.get("SG3X_FILTERED_LRELU") or default_formulation(x.shape[3])
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
    if impl == "pallas" and pallas_takes(spec, x):
        return _on_each_device(partial(_pallas, spec), x)
    return _direct(spec, impl == "chunked", x)


def default_formulation(channels: int) -> str:
    """What the platform is fastest at.

    Chunked on a CPU that is one device (cutting a batch that is spread over several would gather it). On a TPU the kernel,
    where its 128 lanes are mostly used: by the compiler's estimates twice as fast as banded matrices at 148x148.
    """
    # On several devices without a mesh in force the compiler would gather the batch for a kernel.
    spread = on_one_device() or not jax.sharding.get_abstract_mesh().empty
    if platform() == "tpu" and channels >= PALLAS_CHANNELS and spread:
        return "pallas"
    return "chunked" if platform() == "cpu" and on_one_device() else "banded"


def _activate(spec: _Spec, v: jax.Array) -> jax.Array:
    a = jnp.where(v > 0, v * spec.gain, v * (spec.slope * spec.gain))
    if spec.clamp is None:
        return a
    # jnp.clip's own gradient would be halved at exactly +-clamp, where the other formulations, and torch, pass it.
    return jnp.where(a > spec.clamp, spec.clamp, jnp.where(a < -spec.clamp, -spec.clamp, a))


def _activation_slope(spec: _Spec, v: jax.Array) -> jax.Array:
    """d activate / d v, zero where clamped; at exactly 0 it is that of the negative side, as torch's."""
    slope = jnp.where(v > 0, spec.gain, spec.gain * spec.slope).astype(v.dtype)
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
    return up, resampling(spec.fd, up.size(size), (1, 1), spec.down, (0, 0, 0, 0), spec.flip_filter, 1.0)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _direct(spec: _Spec, chunked: bool, x: jax.Array) -> jax.Array:
    """ "banded" or "chunked": both FIRs one after the other, with a gradient that keeps only x."""
    if chunked:
        return _in_chunks(_chunk, spec, x)
    up, down = _resamplers(spec, (x.shape[1], x.shape[2]))
    return down(_activate(spec, up(x)))


def _direct_fwd(spec: _Spec, chunked: bool, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _direct(spec, chunked, x), x


def _direct_bwd(spec: _Spec, chunked: bool, x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    # Only x is kept: the high-rate signal is cheaper to compute again than to store.
    if chunked:
        return (_in_chunks(_chunk_gradient, spec, x, dy),)
    up, down = _resamplers(spec, (x.shape[1], x.shape[2]))
    return (up.transposed(down.transposed(dy) * _activation_slope(spec, up(x))),)


_direct.defvjp(_direct_fwd, _direct_bwd)


def pallas_takes(spec: _Spec, x: jax.Array) -> bool:
    """Whether the kernel knows such a layer; others go the banded way: no FIR, radial ones, rates that do not divide,
    pictures whose rows do not fit into vector memory."""
    separable = all(f is not None and not isinstance(f[0], tuple) for f in (spec.fu, spec.fd))
    square = spec.up[0] == spec.up[1] and spec.down[0] == spec.down[1]
    if not (separable and square and spec.up[0] % spec.down[0] == 0):
        return False
    shapes = x.shape, jax.eval_shape(partial(_direct, spec, False), x).shape
    return all(fits(stream, shapes, x.dtype.itemsize) for stream in _streams(spec, (x.shape[1], x.shape[2])))


def _on_each_device(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """function(x) for the samples of each device: the compiler cannot cut a kernel, and would gather the batch."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.manual_axes or mesh.size == 1:
        return function(x)
    split = jax.sharding.PartitionSpec(mesh.axis_names[0])
    return jax.shard_map(function, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)(x)


def _streams(spec: _Spec, size: tuple[int, int]) -> tuple[Stream, Stream]:
    """Forward and backward kernels for inputs of `size` (H, W)."""
    assert spec.fu is not None and spec.fd is not None
    up, down = _resamplers(spec, size)
    (up_w, _), (down_w, down_h) = up.pairs[0], down.pairs[0]
    flip = 1 if spec.flip_filter else -1
    f_up = tuple(spec.up[1] * np.asarray(spec.fu))[::flip]
    f_down = tuple(np.asarray(spec.fd))[::flip]
    # The banded W matrix carries the gain up^2 of both axes; here each axis has its own.
    from_x = Source(f_up, spec.up[1], spec.padding[2], up_w / spec.up[1])
    forward = Stream(
        (from_x,), partial(_activate, spec), 0, f_down, spec.down[1], down_w, down_h.shape[0], rows=spec.up[1]
    )
    from_dy = Source(f_down[::-1], spec.down[1], len(f_down) - 1, down_w.T)
    backward = Stream(
        (from_x, from_dy), lambda v, g: g * _activation_slope(spec, v), spec.padding[2] - len(f_up) + 1, f_up[::-1],
        spec.up[1], up_w.T / spec.up[1], size[0], rows=spec.up[1],
    )  # fmt: skip
    return forward, backward


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pallas(spec: _Spec, x: jax.Array) -> jax.Array:
    return run_stream(_streams(spec, (x.shape[1], x.shape[2]))[0], x)


def _pallas_fwd(spec: _Spec, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _pallas(spec, x), x


def _pallas_bwd(spec: _Spec, x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    return (run_stream(_streams(spec, (x.shape[1], x.shape[2]))[1], x, dy),)


_pallas.defvjp(_pallas_fwd, _pallas_bwd)


def _chunk(spec: _Spec, x: jax.Array) -> jax.Array:
    """The layer for a few channels of one picture, [H, W, K]."""
    (height, width, channels), period = x.shape, _period(spec)
    up, down = _resamplers(spec, (height, width))
    size = down.size(up.size((height, width)))
    upsample, downsample = in_phases(up, period), in_phases(down, period)
    result = whole(size, downsample.outputs)
    high = downsample.reads(result)
    low = upsample.reads(high)

    def activated(x: Grid) -> Grid:
        return jax.tree.map(partial(_activate, spec), upsample(x, low, high, channels))

    v = apart(activated, apart(partial(split, upsample.inputs, low), x))
    return joined(apart(lambda v: downsample(v, high, result, channels), v), channels, size)


def _chunk_gradient(spec: _Spec, x: jax.Array, dy: jax.Array) -> jax.Array:
    """The gradient of `_chunk`'s x, given that of its result."""
    (height, width, channels), period = x.shape, _period(spec)
    up, down = _resamplers(spec, (height, width))
    upsample, down_back, up_back = (in_phases(m, period) for m in (up, down.transposed, up.transposed))
    result = whole((height, width), up_back.outputs)
    high = up_back.reads(result)  # beyond the high-rate signal, where dy has no part, its gradient is zero
    low, low_dy = upsample.reads(high), down_back.reads(high)

    def gradient(x: Grid, dy: Grid) -> Grid:
        slope = jax.tree.map(partial(_activation_slope, spec), upsample(x, low, high, channels))
        return jax.tree.map(jnp.multiply, down_back(dy, low_dy, high, channels), slope)

    x_phases = apart(partial(split, upsample.inputs, low), x)
    dv = apart(gradient, x_phases, apart(partial(split, down_back.inputs, low_dy), dy))
    return joined(apart(lambda dv: up_back(dv, high, result, channels), dv), channels, (height, width))


def _period(spec: _Spec) -> tuple[int, int]:
    """Of the high-rate signal along H and W: what both FIRs' factors divide."""
    return lcm(spec.up[1], spec.down[1]), lcm(spec.up[0], spec.down[0])


@partial(jax.jit, static_argnums=(0, 1), inline=True)  # one program also where nothing around is compiled
def _in_chunks(function: Callable[..., jax.Array], spec: _Spec, *arrays: jax.Array) -> jax.Array:
    """function(spec, *arrays) on [N, H, W, C] arrays, for a few channels of one picture, [H, W, K], at a time."""
    (n, _, width, c), dtype = arrays[0].shape, arrays[0].dtype
    wide = jnp.promote_types(dtype, jnp.float32)  # what sums are computed in
    columns = width * spec.up[0] // _period(spec)[1]
    lines = ROW_BYTES // (4 * columns * LINE)
    step = max(1, lines) * LINE

    def picture(arrays: tuple[jax.Array, ...]) -> jax.Array:
        # Each chunk is a computation of its own, so that one is done, in the cache, before the next begins.
        parts = []
        for first in range(0, c, step):
            chunk = (a[..., first : first + step].astype(wide) for a in arrays)
            parts.append(apart(partial(function, spec), *chunk).astype(dtype))
        return apart(lambda *parts: jnp.concatenate(parts, axis=2), *parts) if len(parts) > 1 else parts[0]

    if n == 1:
        return picture(tuple(a[0] for a in arrays))[None]
    return jax.lax.map(picture, arrays)
