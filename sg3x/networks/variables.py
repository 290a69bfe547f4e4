"""Kinds of arrays that a network holds beside its trained `nnx.Param`s."""

from __future__ import annotations

from flax import nnx


class Buffer(nnx.Variable):
    """Part of a network that no gradient reaches: Fourier frequencies and phases."""


class RunningMean(Buffer):
    """A buffer that the discriminator's main phase moves: w_avg, magnitude_ema."""


class Transform(nnx.Variable):
    """A transform of the Fourier input that came with a stranger's network; training makes none."""
