"""Trainable 2-D convolutions (correlations) on [N, H, W, C], with a formulation each platform is fast at.

XLA's CPU weight gradient of a convolution is about a hundred times slower than a matmul of the same size, so on a CPU it
is written as matmuls; and 3x3 convolutions between many channels with fewer multiplications (`winograd.py`), where those
are what costs. `SG3X_CONV=lax` or `matmul` in the environment overrides the choice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from sg3x.networks.winograd import winograd_conv, winograd_input_gradient, winograd_weight_gradient
from sg3x.signal.place import on_one_device, platform

FORMULATIONS = ("lax", "matmul")
# Where the weight gradient goes sample by sample; measured on a CPU with 0.5 MiB of cache a core.
MANY_PIXELS, FEW_CHANNELS = 24 * 24, 64
# From how many channels on both sides Winograd's transforms, bound by memory, are cheaper than the multiplications saved.
WINOGRAD_CHANNELS = 96


def conv2d(x: jax.Array, w: jax.Array, padding: int = 0, stride: int = 1, impl: str | None = None) -> jax.Array:
    """Correlation of x[N, H, W, Cin] with w[kh, kw, Cin, Cout], zero padding on every side.

    Returns:
        [N, H', W', Cout], H' = (H + 2 * padding - kh) // stride + 1. Differentiable to any order.
    """
    impl = impl or os.environ.get("SG3X_CONV") or ("matmul" if platform() == "cpu" else "lax")
    if impl not in FORMULATIONS:
        raise ValueError(f"convolution formulation {impl!r} must be one of {', '.join(FORMULATIONS)}")
    # The matmul formulation's gradients know square kernels that every padded picture is at least as large as.
    if impl == "lax" or w.shape[0] != w.shape[1] or not 0 <= padding < w.shape[0]:
        return _lax_conv(x, w, padding, stride)
    if w.shape[:2] == (1, 1) and padding == 0:
        return jnp.dot(x[:, ::stride, ::stride], w[0, 0])
    if stride > 1:
        return _patches_conv(x, w, padding, stride)
    return _conv(padding, x, w)


def _lax_conv(x: jax.Array, w: jax.Array, padding: int, stride: int = 1) -> jax.Array:
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, w, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _taps(x: jax.Array, kernel: int, padding: int, stride: int) -> list[jax.Array]:
    """The shifted, strided views of the padded x that each tap of a square kernel sees, in row-major order of the taps."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    h, wd = (x.shape[1] - kernel) // stride + 1, (x.shape[2] - kernel) // stride + 1
    return [
        x[:, i : i + (h - 1) * stride + 1 : stride, j : j + (wd - 1) * stride + 1 : stride]
        for i in range(kernel)
        for j in range(kernel)
    ]


def _patches_conv(x: jax.Array, w: jax.Array, padding: int, stride: int) -> jax.Array:
    """One matmul over gathered patches: best where the output is small."""
    patches = jnp.concatenate(_taps(x, w.shape[0], padding, stride), axis=-1)
    return jnp.dot(patches, w.reshape(-1, w.shape[-1]))


def _is_winograd(kernel: int, c_in: int, c_out: int) -> bool:
    return kernel == 3 and min(c_in, c_out) >= WINOGRAD_CHANNELS


# A convolution and its two gradients are each linear in both arguments, and each one's gradients are the other two: any
# derivative, R1's second one too, is made of these three.


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(padding: int, x: jax.Array, w: jax.Array) -> jax.Array:
    if _is_winograd(*w.shape[1:]):
        return winograd_conv(x, w, padding)
    if padding > 0 or w.shape[0] < 3:
        return _lax_conv(x, w, padding)
    # XLA's CPU backend has a slower kernel for unpadded convolutions than for padded ones: pad, and drop the rim.
    return _lax_conv(x, w, 1)[:, 1:-1, 1:-1]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(padding: int, dy: jax.Array, w: jax.Array) -> jax.Array:
    """dx of `_conv`: a convolution again."""
    if _is_winograd(*w.shape[1:]):
        return winograd_input_gradient(dy, w, padding)
    return _conv(w.shape[0] - 1 - padding, dy, w[::-1, ::-1].swapaxes(2, 3))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weight_gradient(padding: int, x: jax.Array, dy: jax.Array) -> jax.Array:
    """dw of `_conv`, by matrix products."""
    kernel = x.shape[1] + 2 * padding - dy.shape[1] + 1
    if _is_winograd(kernel, x.shape[3], dy.shape[3]):
        return winograd_weight_gradient(x, dy, padding)
    return _by_taps(kernel, padding, x, dy).reshape(kernel, kernel, x.shape[3], dy.shape[3])


def _by_taps(kernel: int, padding: int, x: jax.Array, dy: jax.Array) -> jax.Array:
    """dw[kh * kw * Cin, Cout], summed over samples afterwards, since a single long inner axis would run on one core."""
    n, pixels, c_in = x.shape[0], dy.shape[1] * dy.shape[2], x.shape[3]
    if pixels >= MANY_PIXELS and c_in <= FEW_CHANNELS and on_one_device():
        # Sample by sample the patches stay in the cache: 2 to 5 times faster. Over several devices it would gather.
        def one(sample: tuple[jax.Array, jax.Array]) -> jax.Array:
            patches = jnp.concatenate(_taps(sample[0][None], kernel, padding, 1), axis=-1).reshape(pixels, -1)
            return jnp.dot(sample[1].reshape(pixels, -1).T, patches)

        return jax.lax.map(one, (x, dy)).sum(0).T
    flat = dy.reshape(n, pixels, -1)
    taps = (tap.reshape(n, pixels, c_in) for tap in _taps(x, kernel, padding, 1))
    return jnp.stack([jnp.einsum("npc,npo->nco", tap, flat).sum(0) for tap in taps])


def _save(function: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, tuple[jax.Array, jax.Array]]]:
    return lambda padding, a, b: (function(padding, a, b), (a, b))


def _conv_bwd(padding: int, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = saved
    return _input_gradient(padding, g, w), _weight_gradient(padding, x, g)


def _input_gradient_bwd(padding: int, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    dy, w = saved
    return _conv(padding, g, w), _weight_gradient(padding, g, dy)


def _weight_gradient_bwd(padding: int, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, dy = saved
    return _input_gradient(padding, dy, g), _conv(padding, x, g)


_conv.defvjp(_save(_conv), _conv_bwd)
_input_gradient.defvjp(_save(_input_gradient), _input_gradient_bwd)
_weight_gradient.defvjp(_save(_weight_gradient), _weight_gradient_bwd)
