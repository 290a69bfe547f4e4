"""FIR resampling in polyphase form, for CPUs (Vaidyanathan, "Multirate Systems and Filter Banks", section 4.3).

A signal of P phases is P signals of every P-th sample: x_p[q] = x[q * P + p]. Neither zero insertion nor decimation is then a
stride: every phase of a FIR's output is a sum of shifted phases of its input, one for each tap that meets a sample. Pictures
are [rows, columns * K], K channels side by side, so that XLA makes one loop of such a sum along whole rows, in vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from sg3x.ops.fir import Fir, Resampling, w_goes_first
from sg3x.ops.fusion import unfused

Span = tuple[int, int]  # from the first period to before the last
Line = Sequence[jax.Array]  # the phases along one axis
Grid = Sequence[Line]  # [phases along H][phases along W] of [rows, columns * K]


class Part(NamedTuple):
    """Some periods of a picture along H and W. Outside its samples a picture is zero."""

    rows: Span
    columns: Span


def whole(size: tuple[int, int], phases: tuple[int, int]) -> Part:
    """The periods that hold a picture of `size` (H, W)."""
    rows, columns = ((0, -(-side // p)) for side, p in zip(size, phases, strict=True))
    return Part(rows, columns)


class PhaseFir(NamedTuple):
    """A `Fir` from a signal of `inputs` phases to one of `outputs`, both of one period: inputs * up = outputs * down."""

    fir: Fir
    inputs: int
    outputs: int

    def terms(self, phase: int) -> list[tuple[int, int, float]]:
        """y_phase[q] = sum of tap * x_p[q + shift] over these (p, shift, tap), in the order of the input's samples."""
        terms = []
        for t, tap in enumerate(self.fir.taps):
            i, between = divmod(t + phase * self.fir.down - self.fir.pad0, self.fir.up)
            if not between:
                shift, p = divmod(i, self.inputs)
                terms.append((p, shift, tap))
        return terms

    def reads(self, wanted: Span) -> Span:
        """The periods of the input that the `wanted` ones of the output are made of."""
        shifts = [shift for phase in range(self.outputs) for _, shift, _ in self.terms(phase)]
        return wanted[0] + min(shifts), wanted[1] + max(shifts)

    def along(self, axis: int, given: Span, wanted: Span, samples: int, *x: jax.Array) -> list[jax.Array]:
        """x, the periods `given` -> those `wanted`, along an axis with so many `samples` a period and phase."""
        length = (wanted[1] - wanted[0]) * samples
        phases = []
        for phase in range(self.outputs):
            total = None
            for p, shift, tap in self.terms(phase):
                start = (wanted[0] + shift - given[0]) * samples
                part = lax.slice_in_dim(x[p], start, start + length, axis=axis) * tap
                total = part if total is None else total + part
            # With fewer taps than `up` some phases have none.
            phases.append(jnp.zeros_like(lax.slice_in_dim(x[0], 0, length, axis=axis)) if total is None else total)
        return phases


class PhaseResampling(NamedTuple):
    """A `Resampling` between pictures in polyphase form: a sum of maps, (along W, along H) each."""

    axes: tuple[tuple[PhaseFir, PhaseFir], ...]

    @property
    def inputs(self) -> tuple[int, int]:
        """The input's phases along H and W."""
        w, h = self.axes[0]
        return h.inputs, w.inputs

    @property
    def outputs(self) -> tuple[int, int]:
        """The output's."""
        w, h = self.axes[0]
        return h.outputs, w.outputs

    def reads(self, wanted: Part) -> Part:
        """The part of the input that the `wanted` one of the output is made of."""
        w, h = self.axes[0]
        return Part(h.reads(wanted.rows), w.reads(wanted.columns))

    def __call__(self, x: Grid, given: Part, wanted: Part, channels: int) -> Grid:
        """x[phases][phases][rows, columns * channels], the part `given` -> the `wanted` part of the map's output."""
        total: Grid | None = None
        for w, h in self.axes:
            along_w = partial(w.along, 1, given.columns, wanted.columns, channels)
            along_h = partial(h.along, 0, given.rows, wanted.rows, 1)
            if w_goes_first((w.inputs, w.outputs), (h.inputs, h.outputs)):
                y = _turned([along_h(*line) for line in _turned([unfused(along_w, *line) for line in x])])
            else:
                y = [along_w(*line) for line in _turned([unfused(along_h, *line) for line in _turned(x)])]
            total = y if total is None else jax.tree.map(jnp.add, total, y)
        assert total is not None
        return total


def in_phases(sampling: Resampling, period: tuple[int, int]) -> PhaseResampling:
    """The map between pictures whose period is `period` (along H, W) of the samples that lie closest: a multiple of the
    map's factors."""
    identity = ((Fir((sampling.gain,), 0, 1, 1, 0, 0), Fir((1.0,), 0, 1, 1, 0, 0)),)

    def phases(fir: Fir, period: int) -> PhaseFir:
        return PhaseFir(fir, period // fir.up, period // fir.down)

    return PhaseResampling(tuple((phases(w, period[1]), phases(h, period[0])) for w, h in sampling.axes or identity))


def split(phases: tuple[int, int], part: Part, x: jax.Array) -> Grid:
    """x[H, W, K] -> `part` of it in `phases` (along H, W), with zeros around."""
    bounds = [(first * p, last * p) for p, (first, last) in zip(phases, part, strict=True)]
    config = [(-low, high - side, 0) for side, (low, high) in zip(x.shape[:2], bounds, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [*config, (0, 0, 0)])
    x = x.reshape(x.shape[0] // phases[0], phases[0], x.shape[1] // phases[1], phases[1], -1)
    return [[x[:, i, :, j].reshape(x.shape[0], -1) for j in range(phases[1])] for i in range(phases[0])]


def joined(x: Grid, channels: int, size: tuple[int, int]) -> jax.Array:
    """The inverse, from period 0 on: [H, W, K] of `size` (H, W)."""
    rows = x[0][0].shape[0]
    y = jnp.stack([jnp.stack([phase.reshape(rows, -1, channels) for phase in line]) for line in x])
    y = y.transpose(2, 0, 3, 1, 4)
    return y.reshape(rows * len(x), -1, channels)[: size[0], : size[1]]


def _turned(grid: Grid) -> list[Line]:
    return [list(line) for line in zip(*grid, strict=True)]
