"""The modulated convolution of the alias-free generator (StyleGAN2, section 2.2; StyleGAN3, appendix F.1)."""

from __future__ import annotations

import functools
import operator

import jax
import jax.numpy as jnp

from sg3x.ops import conv2d
from sg3x.ops.calling import picture_operator

# Sum squares tap by tap from this many channels up: XLA's CPU reduction over leading axes is slow there.
MANY_CHANNELS = 96


@picture_operator
def modulated_conv2d(
    x: jax.Array,
    w: jax.Array,
    s: jax.Array,
    demodulate: bool = True,
    padding: int = 0,
    input_gain: jax.Array | float | None = None,
    style_power: jax.Array | None = None,
) -> jax.Array:
    """Weight-modulated convolution of the alias-free generator.

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
    """[kh, kw, Cin, Cout] -> [Cin, Cout]."""
    if min(squares.shape[2:]) < MANY_CHANNELS:
        return jnp.sum(squares, axis=(0, 1))
    return functools.reduce(operator.add, [tap for row in squares for tap in row])
