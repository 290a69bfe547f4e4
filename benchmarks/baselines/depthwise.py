"""The depthwise form in JAX, as hobby ports write StyleGAN: scatter zero-insertion, one group per channel, NCHW inside, and a
kernel per sample folded into groups. Differentiated automatically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

NCHW = ("NCHW", "OIHW", "NCHW")


def upfirdn(x: jax.Array, taps: np.ndarray | None, up: int, down: int, pads: tuple[int, int], gain: float) -> jax.Array:
    """x[N, C, H, W] with zeros inserted, padded, filtered along H and W and decimated."""
    n, c, h, w = x.shape
    if up > 1:
        x = jnp.zeros((n, c, h * up, w * up), x.dtype).at[:, :, ::up, ::up].set(x)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), (*pads, 0), (*pads, 0)])
    if taps is None:
        return x
    kernel = jnp.tile(jnp.asarray(taps[::-1].copy(), x.dtype)[None, None] * np.sqrt(gain).astype(np.float32), (c, 1, 1))
    x = lax.conv_general_dilated(
        x, kernel[..., None], (down, 1), "VALID", dimension_numbers=NCHW, feature_group_count=c
    )
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (1, down), "VALID", dimension_numbers=NCHW, feature_group_count=c
    )


def filtered_lrelu(x, up_taps, down_taps, bias, up, down, pads, clamp=256.0, gain=2**0.5, slope=0.2):
    """x[N, H, W, C] -> [N, H', W', C]."""
    x = x.transpose(0, 3, 1, 2) + bias[None, :, None, None]
    x = upfirdn(x, up_taps, up, 1, pads, up**2)
    x = jnp.clip(jnp.where(x >= 0, x, slope * x) * np.float32(gain), -clamp, clamp)
    return upfirdn(x, down_taps, 1, down, (0, 0), 1).transpose(0, 2, 3, 1)


def modulated_conv(x, w, s, padding, demodulate=True):
    """x[N, H, W, I], w[kh, kw, I, O], s[N, I]: one kernel per sample, the batch folded into groups."""
    n, h, wd, c = x.shape
    kernels = w[None] * s[:, None, None, :, None]
    if demodulate:
        kernels = kernels * lax.rsqrt(jnp.sum(jnp.square(kernels), axis=(1, 2, 3), keepdims=True) + 1e-8)
    kernels = kernels.transpose(0, 4, 3, 1, 2).reshape(n * w.shape[3], c, *w.shape[:2])
    x = x.transpose(0, 3, 1, 2).reshape(1, n * c, h, wd)
    y = lax.conv_general_dilated(
        x, kernels, (1, 1), [(padding, padding)] * 2, dimension_numbers=NCHW, feature_group_count=n
    )
    return y.reshape(n, -1, *y.shape[2:]).transpose(0, 2, 3, 1)


@contextmanager
def networks_in_this_form() -> Iterator[None]:
    """What is traced inside has our networks' mathematics (config T) with this file's operators, and XLA's own convolutions."""

    def layer(x, fu, fd, b, up, down, padding, gain, slope, clamp):
        return filtered_lrelu(x, fu, fd, b, up, down, padding[:2], clamp, gain, slope)

    def convolution(x, w, s, demodulate, padding, input_gain, style_power):
        return modulated_conv(x, w, s, padding, demodulate) * input_gain

    def blur(x, taps, down=1, padding=0):
        x = upfirdn(x.transpose(0, 3, 1, 2), taps, 1, down, (padding, padding), 1)
        return x.transpose(0, 2, 3, 1)

    synthesis, discriminator = (import_module(f"sg3x.networks.{name}") for name in ("synthesis", "discriminator"))
    jax.clear_caches()  # what was traced in the other form
    with (
        patch.multiple(synthesis, filtered_lrelu=layer, modulated_conv2d=convolution),
        patch.object(discriminator, "upfirdn2d", blur),
        patch.dict(os.environ, SG3X_CONV="lax"),
    ):
        yield
    jax.clear_caches()
