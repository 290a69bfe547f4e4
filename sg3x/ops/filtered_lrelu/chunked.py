"""filtered_lrelu in polyphase form, a few channels of one picture at a time, so that a CPU's cache holds what a FIR reads.

The gradient keeps only x, as the banded form's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import lcm

import jax
import jax.numpy as jnp

from sg3x.ops.filtered_lrelu.polyphase import Grid, in_phases, joined, split, whole
from sg3x.ops.filtered_lrelu.spec import Spec, activate, activation_slope, resamplers
from sg3x.ops.fusion import unfused

# Bytes per row and phase: the rows that one FIR window touches then fit in half of a 512 KiB L2 cache. Chunks are whole lines
# of the cache, of so many channels.
ROW_BYTES, LINE = 12 * 1024, 16


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def filtered_lrelu_chunked(spec: Spec, x: jax.Array) -> jax.Array:
    """Chunk by chunk, each through both FIRs."""
    return _in_chunks(_chunk, spec, x)


def _forward(spec: Spec, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return filtered_lrelu_chunked(spec, x), x


def _backward(spec: Spec, x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    return (_in_chunks(_chunk_gradient, spec, x, dy),)


filtered_lrelu_chunked.defvjp(_forward, _backward)


def _chunk(spec: Spec, x: jax.Array) -> jax.Array:
    """The layer for a few channels of one picture, [H, W, K]."""
    (height, width, channels), period = x.shape, _period(spec)
    up, down = resamplers(spec, (height, width))
    size = down.size(up.size((height, width)))
    upsample, downsample = in_phases(up, period), in_phases(down, period)
    result = whole(size, downsample.outputs)
    high = downsample.reads(result)
    low = upsample.reads(high)

    def activated(x: Grid) -> Grid:
        return jax.tree.map(partial(activate, spec), upsample(x, low, high, channels))

    v = unfused(activated, unfused(partial(split, upsample.inputs, low), x))
    return joined(unfused(lambda v: downsample(v, high, result, channels), v), channels, size)


def _chunk_gradient(spec: Spec, x: jax.Array, dy: jax.Array) -> jax.Array:
    """The gradient of `_chunk`'s x, given that of its result."""
    (height, width, channels), period = x.shape, _period(spec)
    up, down = resamplers(spec, (height, width))
    upsample, down_back, up_back = (in_phases(m, period) for m in (up, down.transposed, up.transposed))
    result = whole((height, width), up_back.outputs)
    high = up_back.reads(result)  # beyond the high-rate signal, where dy has no part, its gradient is zero
    low, low_dy = upsample.reads(high), down_back.reads(high)

    def gradient(x: Grid, dy: Grid) -> Grid:
        slope = jax.tree.map(partial(activation_slope, spec), upsample(x, low, high, channels))
        return jax.tree.map(jnp.multiply, down_back(dy, low_dy, high, channels), slope)

    x_phases = unfused(partial(split, upsample.inputs, low), x)
    dv = unfused(gradient, x_phases, unfused(partial(split, down_back.inputs, low_dy), dy))
    return joined(unfused(lambda dv: up_back(dv, high, result, channels), dv), channels, (height, width))


def _period(spec: Spec) -> tuple[int, int]:
    """Of the high-rate signal along H and W: what both FIRs' factors divide."""
    return lcm(spec.up[1], spec.down[1]), lcm(spec.up[0], spec.down[0])


@partial(jax.jit, static_argnums=(0, 1), inline=True)  # one program also where nothing around is compiled
def _in_chunks(function: Callable[..., jax.Array], spec: Spec, *arrays: jax.Array) -> jax.Array:
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
            parts.append(unfused(partial(function, spec), *chunk).astype(dtype))
        return unfused(lambda *parts: jnp.concatenate(parts, axis=2), *parts) if len(parts) > 1 else parts[0]

    if n == 1:
        return picture(tuple(a[0] for a in arrays))[None]
    return jax.lax.map(picture, arrays)
