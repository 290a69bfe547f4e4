"""The common part of all formulations: the static side of a call, its activation and its FIRs."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sg3x.ops.fir import Resampling, Taps, resampling


class Spec(NamedTuple):
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


def activate(spec: Spec, v: jax.Array) -> jax.Array:
    a = jnp.where(v > 0, v * spec.gain, v * (spec.slope * spec.gain))
    if spec.clamp is None:
        return a
    # jnp.clip's own gradient would be halved at exactly +-clamp, where the other formulations, and torch, pass it.
    return jnp.where(a > spec.clamp, spec.clamp, jnp.where(a < -spec.clamp, -spec.clamp, a))


def activation_slope(spec: Spec, v: jax.Array) -> jax.Array:
    """d activate / d v, zero where clamped; at exactly 0 it is that of the negative side, as torch's."""
    slope = jnp.where(v > 0, spec.gain, spec.gain * spec.slope).astype(v.dtype)
    return slope if spec.clamp is None else jnp.where(jnp.abs(v * slope) <= spec.clamp, slope, 0)


def resamplers(spec: Spec, size: tuple[int, int]) -> tuple[Resampling, Resampling]:
    """The up- and the downsampling FIR for inputs of `size` (H, W)."""
    gain = float(spec.up[0] * spec.up[1])
    up = resampling(spec.fu, size, spec.up, (1, 1), spec.padding, spec.flip_filter, gain)
    return up, resampling(spec.fd, up.size(size), (1, 1), spec.down, (0, 0, 0, 0), spec.flip_filter, 1.0)
