"""Affine resampling of images, alias-free: upsample 2x, sample bilinearly, downsample 2x (ADA, appendix B).

The image is continued by reflection to three times its size minus two pixels, and by zeros beyond. The published pipe
pads by the batch's farthest excursion plus 6 pixels, at most by that much: a dynamic shape, for the same picture.

*Upsampling* along an axis of n pixels is one matrix, reflection included: 6n - 4 samples times n pixels. Reflected
continuations repeat with period 2n - 2 pixels, so of these rows only 4n - 4, and six at either end where the filter
reaches into the zeros, are distinct. Only distinct rows are stored, which makes the upsampled table 2.3 times smaller.
A zero row at either end stands for everything outside. *Downsampling* is a matrix as well. *Sampling* gathers four
neighbours; its adjoint scatters into one accumulator (autodiff would make one per neighbour, about 2.5 times as slow).

A TPU's gather takes its time by the number of indices, not by what lies there: there the table holds the four neighbours of
a place side by side, for one gather and one scatter. On a CPU that table, four times as large, is twice as slow.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import linear_call

from sg3x.ops.platform import platform
from sg3x.training.augment.wavelets import sym6

# fmt: off
MIN_SIZE = 6            # below this the two ends of the upsampled axis overlap
_END = 7                # distinct samples at either end: the zero and the six whose filter reaches over the edge;
_LAST = _END + 1        # at the far end one more, whose successor is not that of its equals
_PRECISION = "highest"  # TPUs multiply float32 as bfloat16 otherwise
# fmt: on


def resample(images: Array, matrix: Array, together: bool | None = None) -> Array:
    """Images whose pixel at position r (from the centre, x right, y down) shows the input at matrix @ (r, 1).

    images: float[n, height, width, channels]; matrix: float[n, 3, 3] in pixels, a constant as far as gradients go.
    together: gather four neighbours at once; None: on a TPU.
    Linear in the images, so it may be differentiated any number of times. Raises ValueError for sizes below 6 pixels.
    """
    n, height, width, channels = images.shape
    if min(height, width) < MIN_SIZE:
        raise ValueError(f"augment needs a resolution of at least {MIN_SIZE} pixels to resample, got {height}x{width}")
    together = platform() == "tpu" if together is None else together
    rows, columns = (upsampling_matrix(size) for size in (height, width))
    table = (_quartets if together else _singles)(rows, columns, images)
    places = functools.partial(_places, (height, width), len(columns), together)
    matrix = jax.lax.stop_gradient(matrix).astype(images.dtype)
    sampled = linear_call(
        functools.partial(_gather, places), functools.partial(_scatter, places, table.shape[1]), matrix, table
    ).reshape(n, 2 * height + 10, 2 * width + 10, channels)
    return _along_width(downsampling_matrix(width), _along_height(downsampling_matrix(height), sampled))


def _singles(rows: np.ndarray, columns: np.ndarray, images: Array) -> Array:
    """The upsampled images [n, Y * X, channels]."""
    table = _along_height(rows[:, 0], _along_width(columns[:, 0], images))
    return table.reshape(len(images), -1, images.shape[-1])


def _quartets(rows: np.ndarray, columns: np.ndarray, images: Array) -> Array:
    """Every upsampled sample beside its right, lower and lower right neighbour: [n, Y * X, 4 * channels].

    Made as whole planes and turned at the end: with channels in the innermost place a TPU's compiler pads each sample to a
    tile (22 ms, 2.3 GiB and six minutes of compiling for four images of 128 x 128, instead of 1 ms and 0.15 GiB).
    """
    planes = images.transpose(0, 3, 1, 2)
    neighbours = [
        jnp.einsum("yh,nchw,xw->ncyx", row, planes, column, precision=_PRECISION)
        for row in jnp.asarray(rows.swapaxes(0, 1), images.dtype)
        for column in jnp.asarray(columns.swapaxes(0, 1), images.dtype)
    ]
    table = jnp.concatenate(neighbours, axis=1)
    return table.reshape(*table.shape[:2], -1).transpose(0, 2, 1)


@functools.cache
def upsampling_matrix(size: int) -> np.ndarray:
    """float32[4 size + 11, 2, size]: pixels to the distinct samples of the reflected, upsampled axis (see `distinct`), each
    with the sample after it."""
    length = 3 * size - 2
    pixel = reflected(np.arange(length) - (size - 1), size)
    taps = 2 * sym6()  # gain 2 makes up for the zeros between the samples
    full = np.zeros((2 * length + 3, size))  # one more zero, after the last
    for i in range(length):
        for j in range(taps.size):
            sample = 2 * i + j - 5
            if 0 <= sample < 2 * length:
                full[sample + 1, pixel[i]] += taps[j]
    rows = np.arange(len(full) - 1)
    stored = np.concatenate([rows[: _END + 4 * size - 4], rows[-_LAST:]])
    return np.stack([full[stored], full[stored + 1]], axis=1).astype(np.float32)


def reflected(position: np.ndarray, size: int) -> np.ndarray:
    """Pixel that a position (int, any) shows on an axis of that size continued by reflection, edge not repeated."""
    period = max(2 * size - 2, 1)
    position = position % period
    return np.minimum(position, period - position)


def distinct(position: Array, size: int) -> Array:
    """Row of `upsampling_matrix(size)` for a position (int) on the upsampled axis that begins and ends with a zero."""
    last, period = 6 * size - 3, 4 * size - 4
    position = jnp.clip(position, 0, last)
    saved = jnp.where(position <= last - _LAST, period, 2 * size - 13)
    return position - jnp.where(position < _END + period, 0, saved)


@functools.cache
def downsampling_matrix(size: int) -> np.ndarray:
    """float32[size, 2 size + 10]: correlation with sym6 at every second sample, five more samples on each side."""
    matrix = np.zeros((size, 2 * size + 10))
    for i in range(size):
        matrix[i, 2 * i : 2 * i + 12] = sym6()
    return matrix.astype(np.float32)


def _along_height(matrix: np.ndarray, images: Array) -> Array:
    """[n, h, w, c] -> [n, len(matrix), w, c], as a batched matmul: repeating the matrix avoids a transposition."""
    n, height, width, channels = images.shape
    repeated = jnp.broadcast_to(jnp.asarray(matrix, images.dtype), (n, *matrix.shape))
    return jnp.matmul(repeated, images.reshape(n, height, -1), precision=_PRECISION).reshape(n, -1, width, channels)


def _along_width(matrix: np.ndarray, images: Array) -> Array:
    """[n, h, w, c] -> [n, h, len(matrix), c]."""
    return jnp.einsum("pw,nhwc->nhpc", jnp.asarray(matrix, images.dtype), images, precision=_PRECISION)


# For every sample that downsampling needs: entries of the table, and the weights of the neighbours found there.
_Places = Callable[[Array], tuple[list[Array], list[Array]]]


def _places(
    size: tuple[int, int], row_length: int, together: bool, matrix: Array
) -> tuple[list[Array], list[Array]]:  # fmt: skip
    """Table entries, each [n, samples], and bilinear weights [n, samples, neighbours an entry]: four entries of one neighbour
    each, or one entry of all four."""
    height, width = size
    # Twice as dense, every other sample on a pixel: measured in samples from the image's centre, the centre of an axis
    # being (width - 1) / 2 pixels, both grids are integers. Measuring from the centre also keeps the float32 accurate.
    x = (jnp.arange(2 * width + 10) - (width + 4)).astype(matrix.dtype)[None, None, :]
    y = (jnp.arange(2 * height + 10) - (height + 4)).astype(matrix.dtype)[None, :, None]
    m = matrix[:, :, :, None, None]
    x_index, x_weight = _bracket(m[:, 0, 0] * x + m[:, 0, 1] * y + 2 * m[:, 0, 2], width)
    y_index, y_weight = _bracket(m[:, 1, 0] * x + m[:, 1, 1] * y + 2 * m[:, 1, 2], height)
    flat = matrix.shape[0], -1
    pairs = [(i, j) for i in (0, 1) for j in (0, 1)]
    indices = [(y_index[i] * row_length + x_index[j]).reshape(flat) for i, j in pairs]
    weights = [(y_weight[i] * x_weight[j]).reshape(flat) for i, j in pairs]
    return (indices[:1], [jnp.stack(weights, -1)]) if together else (indices, [w[..., None] for w in weights])


def _bracket(position: Array, size: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Rows of the stored samples on either side of a position (0 is the axis' centre) and their weights."""
    floor = jnp.floor(position)
    weight = position - floor
    half = 3 * size - 2  # the centre's place on the axis; clipping just outside keeps the integer conversion defined
    index = jnp.clip(floor, -half - 1, half + 1).astype(jnp.int32) + half
    index = jnp.where(index < 0, 2 * half + 1, index)  # beyond either end: the last zero, which zeros follow
    return (distinct(index, size), distinct(index + 1, size)), (1 - weight, weight)


def _gather(places: _Places, matrix: Array, table: Array) -> Array:
    """Bilinear samples [n, samples, channels] of the table [n, entries, neighbours an entry * channels]."""

    def one_image(table: Array, indices: list[Array], weights: list[Array]) -> Array:
        parts = []
        for i, w in zip(indices, weights, strict=True):
            found = table.at[i].get(mode="promise_in_bounds").reshape(*w.shape, -1)
            parts.append(jnp.sum(found * w[..., None], axis=1))
        return functools.reduce(jnp.add, parts)

    return jax.vmap(one_image)(table, *places(matrix))


def _scatter(places: _Places, entries: int, matrix: Array, samples: Array) -> Array:
    """The adjoint of `_gather`: every sample is added, weighted, to its table entries."""

    def one_image(samples: Array, indices: list[Array], weights: list[Array]) -> Array:
        table = jnp.zeros((entries, weights[0].shape[-1] * samples.shape[-1]), samples.dtype)
        for i, w in zip(indices, weights, strict=True):
            shared = (samples[:, None] * w[..., None]).reshape(i.size, -1)
            table = table.at[i].add(shared, mode="promise_in_bounds")
        return table

    return jax.vmap(one_image)(samples, *places(matrix))
