"""filtered_lrelu on a TPU as one kernel: both FIRs and the activation in VMEM, forward and backward.

The high-rate signal, `up^2` times the size of what goes in, never leaves the chip's vector memory. A program instance holds one
sample's 128 channels. Along W, whose pixels lie in sublanes, FIRs are products with banded matrices on the matrix unit.
Along H, where shifting is free, they are polyphase sums on the vector unit, streamed: `up` high-rate rows at a time go
into a ring, from which the finished output rows are summed.

The backward kernel is the same stream with two sources, x and dy: high-rate rows of x give the slopes, those of dy the
gradient, and what is summed from the ring is the adjoint of upsampling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES = 128
VMEM = 110 * 2**20  # of a v5e's 128 MiB
CHUNK = 104  # high-rate pixels of a row that are summed at once: 13 vector registers


class Source(NamedTuple):
    """Rows that are upsampled along H: high-rate row p gets sum_i taps[i * factor + pad - p] rows[i]."""

    taps: tuple[float, ...]
    factor: int
    pad: int
    matrix: np.ndarray  # float32[high-rate width, width]

    def phase(self, p: int) -> list[tuple[int, float]]:
        """(row, tap) pairs of high-rate row p; rows may lie outside the picture, where they count as zero."""
        first = -((self.pad - p) // self.factor)
        found = ((i, i * self.factor + self.pad - p) for i in range(first, first + len(self.taps)))
        return [(i, self.taps[j]) for i, j in found if 0 <= j < len(self.taps)]


class Stream(NamedTuple):
    """One kernel: sources, what makes one high-rate signal of theirs, and the FIR that output rows are summed with."""

    sources: tuple[Source, ...]
    combine: Callable[..., jax.Array]
    start: int  # high-rate row (of the sources' numbering) that output row 0 begins at
    taps: tuple[float, ...]  # correlation order
    stride: int
    matrix: np.ndarray  # float32[output width, high-rate width]
    height: int  # output rows
    rows: int  # high-rate rows a round; a multiple of `stride` and of every source's factor


def run_stream(stream: Stream, *inputs: jax.Array) -> jax.Array:
    """inputs [N, H, W, C], one for each source -> [N, H', W', C]. On anything but a TPU, interpreted: for tests."""
    return jax.lax.platform_dependent(
        *inputs, tpu=partial(_call, stream, False), default=partial(_call, stream, True)
    )  # fmt: skip


def _call(stream: Stream, interpret: bool, *inputs: jax.Array) -> jax.Array:
    x = inputs[0]
    n, channels = x.shape[0], x.shape[3]
    high = stream.matrix.shape[1]
    a_round = stream.rows // stream.stride  # output rows; a last round may finish more than there are
    out = (n, -(-stream.height // a_round) * a_round, stream.matrix.shape[0], channels)
    margins = [_margins(stream, source, a.shape[1]) for source, a in zip(stream.sources, inputs, strict=True)]
    matrices = [jnp.asarray(m, x.dtype) for m in (*(s.matrix for s in stream.sources), stream.matrix)]
    loops = [*(a.shape[1] for a in inputs), _lag(stream), _rounds(stream) - _lag(stream)]

    def block(shape: Sequence[int]) -> pl.BlockSpec:
        return pl.BlockSpec((1, shape[1], shape[2], LANES), lambda i, c: (i, 0, 0, c))

    y = pl.pallas_call(
        partial(_kernel, stream, margins, x.dtype),
        out_shape=jax.ShapeDtypeStruct(out, x.dtype),
        grid=(n, pl.cdiv(channels, LANES)),
        in_specs=[*(pl.BlockSpec(m.shape, lambda i, c: (0, 0)) for m in matrices), *(block(a.shape) for a in inputs)],
        out_specs=block(out),
        scratch_shapes=[
            *(
                pltpu.VMEM((low + a.shape[1] + beyond, high, LANES), jnp.float32)
                for (low, beyond), a in zip(margins, inputs, strict=True)
            ),
            pltpu.VMEM((_ring(stream), high, LANES), jnp.float32),
        ],
        compiler_params=pltpu.CompilerParams(vmem_limit_bytes=VMEM),
        name=kernel_name(n * pl.cdiv(channels, LANES), loops),
        interpret=interpret,
    )(*matrices, *inputs)
    return y[:, : stream.height]


def kernel_name(instances: int, loops: Sequence[int]) -> str:
    """Name of the kernel in a compiled program: how many instances run one after the other, and the rounds of each
    of its loops. `sg3x preflight` prices kernels by it, which the compiler does not."""
    return f"fir_stream_{instances}_times_{'_'.join(map(str, loops))}"


def fits(stream: Stream, shapes: Sequence[tuple[int, ...]], itemsize: int) -> bool:
    """True if pictures of `shapes` (input and output, [N, H, W, C]) and the rows made of them fit into vector memory."""
    pixels = sum(h * -(-w // 8) * 8 for _, h, w, _ in shapes) + shapes[0][1] * shapes[0][2] * (len(stream.sources) - 1)
    heights = [shape[1] + 8 for shape, _ in zip(shapes, stream.sources, strict=False)]
    scratch = (sum(heights) + _ring(stream)) * -(-stream.matrix.shape[1] // 8) * 8
    return LANES * (2 * itemsize * pixels + 4 * scratch) < 0.9 * VMEM


def _lag(stream: Stream) -> int:
    """Rounds before the first output row is complete."""
    return -((stream.stride - len(stream.taps)) // stream.rows)


def _ring(stream: Stream) -> int:
    return stream.rows * (_lag(stream) + 1)


def _rounds(stream: Stream) -> int:
    return _lag(stream) + -(-stream.height * stream.stride // stream.rows)


def _margins(stream: Stream, source: Source, height: int) -> tuple[int, int]:
    """Rows of zeros before and after the picture that the stream reads."""
    last = stream.start + stream.rows * _rounds(stream) - 1
    ends = [i for p in range(stream.start, last + 1) for i, _ in source.phase(p)]
    return max(0, -min(ends)), max(0, max(ends) - height + 1)


def _kernel(stream: Stream, margins: list[tuple[int, int]], dtype: jnp.dtype, *refs) -> None:
    count = len(stream.sources)
    matrices, inputs, out = refs[: count + 1], refs[count + 1 : 2 * count + 1], refs[2 * count + 1]
    wide, ring = refs[2 * count + 2 : -1], refs[-1]
    precision = jax.lax.Precision.HIGHEST if dtype == jnp.float32 else None
    product = partial(jnp.dot, precision=precision, preferred_element_type=jnp.float32)
    for matrix, ref, rows, (low, beyond) in zip(matrices, inputs, wide, margins, strict=False):
        height = ref.shape[1]
        for i in (*range(low), *range(low + height, low + height + beyond)):
            rows[i] = jnp.zeros(rows.shape[1:], jnp.float32)

        def widen(i, carry, matrix=matrix, ref=ref, rows=rows, low=low):
            rows[low + i] = product(matrix[...], ref[0, i])
            return carry

        jax.lax.fori_loop(0, height, widen, 0)

    def fill(t, carry):
        _fill_ring(stream, margins, wide, ring, t)
        return carry

    def finish(t, carry):
        fill(t, carry)
        for k in range(stream.rows // stream.stride):
            row = (t - _lag(stream)) * (stream.rows // stream.stride) + k
            out[0, row] = product(matrices[-1][...], _sum_ring(stream, ring, row).astype(dtype)).astype(dtype)
        return carry

    jax.lax.fori_loop(0, _lag(stream), fill, 0)
    jax.lax.fori_loop(_lag(stream), _rounds(stream), finish, 0)


def _fill_ring(stream: Stream, margins: list[tuple[int, int]], wide: Sequence, ring, t: jax.Array) -> None:
    """High-rate rows start + rows * t + (0 .. rows - 1) into the ring."""
    width = ring.shape[1]
    for r in range(stream.rows):
        for left in range(0, width, CHUNK):
            part = pl.ds(left, min(CHUNK, width - left))
            signals = []
            for source, rows, (low, _) in zip(stream.sources, wide, margins, strict=True):
                step = stream.rows // source.factor
                terms = [rows[t * step + (i + low), part] * tap for i, tap in source.phase(stream.start + r)]
                signals.append(sum(terms[1:], terms[0]))
            ring[jax.lax.rem(t * stream.rows, ring.shape[0]) + r, part] = stream.combine(*signals)


def _sum_ring(stream: Stream, ring, row: jax.Array) -> jax.Array:
    """Output row `row` before the FIR along W: float32[high-rate width, LANES]."""
    width, parts = ring.shape[1], []
    for left in range(0, width, CHUNK):
        part = pl.ds(left, min(CHUNK, width - left))
        terms = [
            ring[jax.lax.rem(row * stream.stride + j, ring.shape[0]), part] * tap for j, tap in enumerate(stream.taps)
        ]
        parts.append(sum(terms[1:], terms[0]))
    return jnp.concatenate(parts) if len(parts) > 1 else parts[0]
