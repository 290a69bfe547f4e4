"""Trainable 2-D convolutions (correlations) on [N, H, W, C], with a formulation each platform is fast at.

XLA's CPU weight gradient of a convolution is about a hundred times slower than a matmul of the same size, so on a CPU it
is written as one matmul per tap. `SG3X_CONV=lax` or `matmul` in the environment overrides the choice.
"""

from __future__ import annotations

import os
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

FORMULATIONS = ("lax", "matmul")


def conv2d(x: jax.Array, w: jax.Array, padding: int = 0, stride: int = 1, impl: str | None = None) -> jax.Array:
    """Correlation of x[N, H, W, Cin] with w[kh, kw, Cin, Cout], zero padding on every side.

    Returns:
        [N, H', W', Cout], H' = (H + 2 * padding - kh) // stride + 1. Differentiable to any order.
    """
    impl = impl or os.environ.get("SG3X_CONV") or ("matmul" if jax.default_backend() == "cpu" else "lax")
    if impl not in FORMULATIONS:
        raise ValueError(f"convolution formulation {impl!r} must be one of {', '.join(FORMULATIONS)}")
    if impl == "lax":
        return _lax_conv(x, w, padding, stride)
    if w.shape[:2] == (1, 1) and padding == 0:
        return jnp.dot(x[:, ::stride, ::stride], w[0, 0])
    if stride > 1:
        return _patches_conv(x, w, padding, stride)
    return _conv(padding, x, w)


def _lax_conv(x: jax.Array, w: jax.Array, padding: int, stride: int = 1) -> jax.Array:
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
        return _lax_conv(x, w, padding)
    # XLA's CPU backend has a slower kernel for unpadded convolutions than for padded ones: pad, and drop the rim.
    return _lax_conv(x, w, 1)[:, 1:-1, 1:-1]


def _conv_fwd(padding: int, x: jax.Array, w: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _conv(padding, x, w), (x, w)


def _conv_bwd(padding: int, saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = saved
    # A convolution's input gradient is a convolution again: calling ourselves keeps second derivatives (R1) fast too.
    dx = conv2d(dy, w[::-1, ::-1].swapaxes(2, 3), w.shape[0] - 1 - padding, impl="matmul")
    # One matmul per tap and sample: summed over samples afterwards, since a single long inner axis runs on one core.
    n, c_in, c_out = x.shape[0], w.shape[2], w.shape[3]
    flat = dy.reshape(n, -1, c_out)
    dw = [jnp.einsum("npc,npo->nco", tap.reshape(n, -1, c_in), flat).sum(0) for tap in _taps(x, w, padding, 1)]
    return dx, jnp.stack(dw).reshape(w.shape)


_conv.defvjp(_conv_fwd, _conv_bwd)
