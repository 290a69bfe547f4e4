"""Convolutions whose gradients are matrix products: XLA's own weight gradient takes a hundred times as long on a CPU."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from sg3x.ops.conv2d.winograd import LARGE_PIXELS, strided_winograd_conv, winograd_conv
from sg3x.ops.platform import on_one_device

# Where the weight gradient goes sample by sample; measured on a CPU with 0.5 MiB of cache a core.
MANY_PIXELS, FEW_CHANNELS = 24 * 24, 64
# Use Winograd from this many channels up. With fewer, its memory-bound transforms cost more than they save.
MANY_CHANNELS = 96


def conv2d_matmul(x: jax.Array, w: jax.Array, padding: int = 0, stride: int = 1) -> jax.Array:
    """As `conv2d`, for square kernels that every padded picture is at least as large as."""
    if w.shape[:2] == (1, 1) and padding == 0:
        return jnp.dot(x[:, ::stride, ::stride], w[0, 0])
    height, width = ((side + 2 * padding - w.shape[0]) // stride + 1 for side in x.shape[1:3])
    wide = w.shape[0] == 3 and min(w.shape[2:]) >= MANY_CHANNELS
    if wide and stride == 2 and height * width >= LARGE_PIXELS:
        return strided_winograd_conv(x, w, padding)
    if stride > 1:
        return _patches_conv(x, w, padding, stride)
    if wide:
        return winograd_conv(x, w, padding)
    return _conv(padding, x, w)


def lax_conv(x: jax.Array, w: jax.Array, padding: int, stride: int = 1) -> jax.Array:
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, w, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _taps(x: jax.Array, w: jax.Array, padding: int, stride: int) -> list[jax.Array]:
    """The shifted, strided views of the padded x that each tap of w sees, in row-major order of the taps."""
    kh, kw = w.shape[:2]
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    h, wd = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
    return [
        x[:, i : i + (h - 1) * stride + 1 : stride, j : j + (wd - 1) * stride + 1 : stride]
        for i in range(kh)
        for j in range(kw)
    ]


def _patches_conv(x: jax.Array, w: jax.Array, padding: int, stride: int) -> jax.Array:
    """One matmul over gathered patches: best where the output is small."""
    patches = jnp.concatenate(_taps(x, w, padding, stride), axis=-1)
    return jnp.dot(patches, w.reshape(-1, w.shape[-1]))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(padding: int, x: jax.Array, w: jax.Array) -> jax.Array:
    if padding > 0 or w.shape[0] < 3:
        return lax_conv(x, w, padding)
    # XLA's CPU backend has a slower kernel for unpadded convolutions than for padded ones: pad, and drop the rim.
    return lax_conv(x, w, 1)[:, 1:-1, 1:-1]


def _conv_fwd(padding: int, x: jax.Array, w: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _conv(padding, x, w), (x, w)


def _conv_bwd(padding: int, saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = saved
    # A convolution's input gradient is a convolution again: calling ourselves keeps second derivatives (R1) fast too.
    dx = conv2d_matmul(dy, w[::-1, ::-1].swapaxes(2, 3), w.shape[0] - 1 - padding)
    return dx, _weight_gradient(x, dy, w, padding).reshape(w.shape)


def _weight_gradient(x: jax.Array, dy: jax.Array, w: jax.Array, padding: int) -> jax.Array:
    """dw[kh * kw * Cin, Cout] of a convolution of x[N, H, W, Cin] with output gradient dy[N, H', W', Cout], as matmuls.

    Summed over samples afterwards, since a single long inner axis would run on one core.
    """
    n, pixels, c_in = x.shape[0], dy.shape[1] * dy.shape[2], x.shape[3]
    if pixels >= MANY_PIXELS and c_in <= FEW_CHANNELS and on_one_device():
        # Sample by sample the patches stay in the cache: 2 to 5 times faster. Over several devices it would gather.
        def one(sample: tuple[jax.Array, jax.Array]) -> jax.Array:
            patches = jnp.concatenate(_taps(sample[0][None], w, padding, 1), axis=-1).reshape(pixels, -1)
            return jnp.dot(sample[1].reshape(pixels, -1).T, patches)

        return jax.lax.map(one, (x, dy)).sum(0).T
    flat = dy.reshape(n, pixels, -1)
    taps = (tap.reshape(n, pixels, c_in) for tap in _taps(x, w, padding, 1))
    return jnp.stack([jnp.einsum("npc,npo->nco", tap, flat).sum(0) for tap in taps])


_conv.defvjp(_conv_fwd, _conv_bwd)
