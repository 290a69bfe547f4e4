"""Layers with equalised learning rate, and the modulated convolution. Parameters are flat dicts under the reference's names."""

from __future__ import annotations

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.networks.convolution import MANY_CHANNELS, conv2d

# "mapping.fc0.weight" -> array. Dense weights [in, out], convolution weights [kh, kw, in, out].
Params = dict[str, jax.Array]

LRELU_SLOPE = 0.2
LRELU_GAIN = np.sqrt(2).item()


def normalize_2nd_moment(x: jax.Array, eps: float = 1e-8) -> jax.Array:
    """x[N, D] divided by the root mean square of each row."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=1, keepdims=True) + eps)


def lrelu(x: jax.Array, gain: float = LRELU_GAIN, clamp: float | None = None) -> jax.Array:
    """Leaky ReLU (slope 0.2), gain, clamp."""
    x = jnp.where(x > 0, x, x * LRELU_SLOPE) * gain  # at 0 the reference's slope is 0.2
    return x if clamp is None else jnp.clip(x, -clamp, clamp)


def dense(params: Params, name: str, x: jax.Array, lr_multiplier: float = 1.0) -> jax.Array:
    """Fully connected layer `name` on x[N, in]: weight gain lr/sqrt(in), bias gain lr (StyleGAN2 equalised learning rate)."""
    w = params[f"{name}.weight"].astype(x.dtype)
    y = jnp.dot(x, w * (lr_multiplier / np.sqrt(w.shape[0]).item()))
    return y + params[f"{name}.bias"].astype(x.dtype) * lr_multiplier


def init_dense(
    key: jax.Array, name: str, fan_in: int, fan_out: int, lr_multiplier: float = 1.0, bias: float = 0.0
) -> Params:
    """N(0, 1) / lr weights and constant biases of `dense`."""
    w = jax.random.normal(key, (fan_in, fan_out)) / lr_multiplier
    return {f"{name}.weight": w, f"{name}.bias": jnp.full((fan_out,), bias / lr_multiplier, jnp.float32)}


def modulated_conv2d(
    x: jax.Array,
    w: jax.Array,
    s: jax.Array,
    demodulate: bool = True,
    padding: int = 0,
    input_gain: jax.Array | float | None = None,
    style_power: jax.Array | None = None,
) -> jax.Array:
    """Weight-modulated convolution of the alias-free generator (StyleGAN3 paper, appendix C.3).

    Instead of one kernel per sample, the input is scaled by s and the output by the demodulation coefficient around one
    shared convolution: the same result, and nothing for a sharded batch to exchange but the mean square of s.

    Args:
        x: float[N, H, W, Cin]. w: float32[kh, kw, Cin, Cout]. s: float32[N, Cin] per-sample styles.
        demodulate: normalise w and s by their root mean squares (s over the whole batch) and each output channel to unit
            variance.
        padding: zeros on every side.
        input_gain: scalar, [Cin] or [N, Cin], applied after demodulation so that it is not normalised away.
        style_power: mean square of the whole batch's styles, when x and s are only a part of it.

    Returns:
        [N, H', W', Cout] in x's dtype; the styles' arithmetic is float32.
    """
    x, w, s = jnp.asarray(x), jnp.asarray(w), jnp.asarray(s)
    if s.shape != (x.shape[0], x.shape[3]) or w.shape[2] != x.shape[3]:
        raise ValueError(
            f"modulated_conv2d: x{x.shape}, w{w.shape}, s{s.shape} do not fit [N,H,W,I], [kh,kw,I,O], [N,I]"
        )
    scale = s = s.astype(jnp.float32)
    demodulation = None
    if demodulate:
        w = w * jax.lax.rsqrt(jnp.mean(jnp.square(w), axis=(0, 1, 2), keepdims=True))
        scale = s = s * jax.lax.rsqrt(jnp.mean(jnp.square(s)) if style_power is None else style_power)
        power = jnp.dot(jnp.square(s), _sum_over_taps(jnp.square(w)), precision=jax.lax.Precision.HIGHEST)
        demodulation = jax.lax.rsqrt(power + 1e-8)
    if input_gain is not None:
        scale = scale * jnp.asarray(input_gain, jnp.float32)
    y = conv2d(x * scale[:, None, None, :].astype(x.dtype), w.astype(x.dtype), padding=padding)
    return y if demodulation is None else y * demodulation[:, None, None, :].astype(x.dtype)


def _sum_over_taps(squares: jax.Array) -> jax.Array:
    """[kh, kw, Cin, Cout] -> [Cin, Cout]. Between many channels tap by tap: XLA's CPU reduction over the leading axes takes 50
    ms at 512 x 512, a tenth of the whole generator in all."""
    if min(squares.shape[2:]) < MANY_CHANNELS:
        return jnp.sum(squares, axis=(0, 1))
    return functools.reduce(operator.add, [tap for row in squares for tap in row])
