"""3x3 convolutions with fewer multiplications (Winograd 1980; F(m x m, 3 x 3) of Lavin and Gray 2016), for CPUs.

m neighbouring outputs of a correlation of r taps come from m + r - 1 products instead of r m,
    y = A^T ((G w) * (B^T d)),   d: m + r - 1 inputs, w: r taps,
and an m x m tile of outputs from the square of that: for r = 3, 2.25 times fewer for m = 2, 4 times for m = 4. Summed over
input channels, each product is one of matrices, over tiles. The form is trilinear, so that both gradients are the same read the
other way:
    dd = B ((G w) * (A dy)),   dw = G^T ((B^T d) * (A dy)).

At stride 2 even and odd inputs meet taps of their own, two and one: F(4, 2) along the former and nothing to save along the
latter leave 81 of 144 products.

Rounding errors (root mean square, 256 channels) are twice those of the direct sum for m = 2, six times for m = 4 at the points
below (twelve times at the customary 0, +-1, +-2), three times at stride 2.

The products stay separate arrays: stacked into one, XLA computes what reads or writes them one number at a time, five times
slower. Transforms go along one axis after the other, each `unfused`: fused, the first would be computed again for each term of
the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from sg3x.ops.fusion import unfused

Arrays = list[jax.Array]
Matrix = tuple[tuple[float, ...], ...]


class Scheme(NamedTuple):
    """The three transforms; k = m + 2."""

    outputs: Matrix  # A[k, m]
    kernel: Matrix  # G[k, 3]
    inputs: Matrix  # B^T[k, k]

    @property
    def products(self) -> int:
        return len(self.outputs)

    @property
    def tile(self) -> int:
        """m."""
        return len(self.outputs[0])

    @property
    def taps(self) -> int:
        """r."""
        return len(self.kernel[0])


def toom_cook(points: Sequence[Fraction | int], tile: int, taps: int = 3) -> Scheme:
    """The scheme that multiplies polynomials by their values at these tile + taps - 2 points and at infinity (Toom 1963, Cook
    1966)."""

    def with_roots(roots: Sequence[Fraction | int]) -> list[Fraction]:
        """Coefficients of the product of (x - root), from the lowest."""
        polynomial = [Fraction(1)]
        for root in roots:
            shifted, scaled = [Fraction(0), *polynomial], [root * c for c in polynomial] + [Fraction(0)]
            polynomial = [a - b for a, b in zip(shifted, scaled, strict=True)]
        return polynomial

    outputs = [[Fraction(p) ** j for j in range(tile)] for p in points] + [
        [Fraction(j == tile - 1) for j in range(tile)]
    ]
    kernel, inputs = [], []
    for i, point in enumerate(points):
        polynomial = with_roots([*points[:i], *points[i + 1 :]])
        value = sum(c * Fraction(point) ** j for j, c in enumerate(polynomial))
        kernel.append([Fraction(point) ** j / value for j in range(taps)])
        inputs.append([*polynomial, Fraction(0)])
    kernel.append([Fraction(j == taps - 1) for j in range(taps)])
    inputs.append(with_roots(points))
    return Scheme(*(tuple(tuple(float(c) for c in row) for row in matrix) for matrix in (outputs, kernel, inputs)))


SMALL = toom_cook((0, 1, -1), 2)
# Of the points +-a, +-b in steps of 1/16 and 1/8, those with the smallest errors; all of their powers here are exact.
LARGE = toom_cook((0, Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2)), 4)
# From how many output pixels on the fewer products outweigh the transform of the kernel (512 channels, a CPU).
LARGE_PIXELS = 32 * 32
# For stride 2: of even inputs and of odd ones.
PHASES = toom_cook((Fraction(1, 2), Fraction(-1, 2), Fraction(3, 2), Fraction(-3, 2)), 4, 2), toom_cook((), 1, 1)


def winograd_conv(x: jax.Array, w: jax.Array, padding: int) -> jax.Array:
    """Correlation of x[N, H, W, Cin] with w[3, 3, Cin, Cout], zero `padding` on every side -> [N, H', W', Cout].

    Differentiable to any order: it and its two gradients are linear in both arguments, and the gradients of each are the
    other two.
    """
    height, width = (side + 2 * padding - 2 for side in x.shape[1:3])
    scheme = LARGE if height * width >= LARGE_PIXELS else SMALL
    return _conv(_Plan(_Axis(scheme, x.shape[1], padding, height), _Axis(scheme, x.shape[2], padding, width)), x, w)


def strided_winograd_conv(x: jax.Array, w: jax.Array, padding: int) -> jax.Array:
    """The same at stride 2: the sum of four correlations at half the resolution, of the even and the odd rows and columns."""
    n, height, width, c = x.shape
    rows, columns = ((side + 2 * padding - 3) // 2 + 1 for side in (height, width))
    x = _padded(x, (padding, 2 * rows + 2 - height - padding), (padding, 2 * columns + 2 - width - padding))
    x = x.reshape(n, rows + 1, 2, columns + 1, 2, c)

    def of(i: int, j: int) -> jax.Array:
        phase = x[:, : rows + 1 - i, i, : columns + 1 - j, j]
        plan = _Plan(_Axis(PHASES[i], phase.shape[1], 0, rows), _Axis(PHASES[j], phase.shape[2], 0, columns))
        return _conv(plan, phase, w[i::2, j::2])

    return of(0, 0) + of(0, 1) + of(1, 0) + of(1, 1)


class _Axis(NamedTuple):
    """A correlation along one axis."""

    scheme: Scheme
    size: int  # of x
    padding: int
    out: int

    @property
    def tiles(self) -> int:
        return -(-self.out // self.scheme.tile)

    @property
    def blocks(self) -> int:
        """Of m inputs; the last taps - 1 of a tile are the next block's."""
        return self.tiles + (self.scheme.taps > 1)

    @property
    def input_padding(self) -> tuple[int, int]:
        return self.padding, self.blocks * self.scheme.tile - self.size - self.padding

    @property
    def output_padding(self) -> tuple[int, int]:
        return 0, self.tiles * self.scheme.tile - self.out


class _Plan(NamedTuple):
    rows: _Axis
    columns: _Axis


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(plan: _Plan, x: jax.Array, w: jax.Array) -> jax.Array:
    products = _products(_input_values(plan, x), _kernel_values(plan, w), 1, 0)
    return _outputs(plan, x.shape[0], products)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(plan: _Plan, dy: jax.Array, w: jax.Array) -> jax.Array:
    """The gradient of x, given that of the output, dy[N, H', W', Cout]."""
    products = _products(_output_values(plan, dy), _kernel_values(plan, w), 1, 1)
    return _inputs(plan, dy.shape[0], products)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weight_gradient(plan: _Plan, x: jax.Array, dy: jax.Array) -> jax.Array:
    """The gradient of w."""
    products = _products(_input_values(plan, x), _output_values(plan, dy), 0, 0)
    k = plan.columns.scheme.products
    by_rows, by_columns = (partial(_combine, _transposed(axis.scheme.kernel)) for axis in plan)
    columns = [by_rows(products[j::k]) for j in range(k)]
    taps = [by_columns([column[row] for column in columns]) for row in range(plan.rows.scheme.taps)]
    return jnp.stack([jnp.stack(row) for row in taps])


def _conv_bwd(plan: _Plan, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = saved
    return _input_gradient(plan, g, w), _weight_gradient(plan, x, g)


def _input_gradient_bwd(plan: _Plan, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    dy, w = saved
    return _conv(plan, g, w), _weight_gradient(plan, g, dy)


def _weight_gradient_bwd(plan: _Plan, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, dy = saved
    return _input_gradient(plan, dy, g), _conv(plan, x, g)


_conv.defvjp(lambda plan, x, w: (_conv(plan, x, w), (x, w)), _conv_bwd)
_input_gradient.defvjp(lambda plan, dy, w: (_input_gradient(plan, dy, w), (dy, w)), _input_gradient_bwd)
_weight_gradient.defvjp(lambda plan, x, dy: (_weight_gradient(plan, x, dy), (x, dy)), _weight_gradient_bwd)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _combine(matrix: Matrix, arrays: Arrays) -> Arrays:
    """The matrix times a vector of arrays."""
    sums = []
    for row in matrix:
        first, *more = [array * c if c != 1 else array for c, array in zip(row, arrays, strict=True) if c != 0]
        for term in more:
            first = first + term
        sums.append(first)
    return sums


def _products(a: Arrays, b: Arrays, axis_a: int, axis_b: int) -> Arrays:
    """Matrix product of each pair over these axes."""
    over = (((axis_a,), (axis_b,)), ((), ()))
    return [lax.dot_general(one, other, over) for one, other in zip(a, b, strict=True)]


def _transform(scheme: Scheme, function: Callable[[Any], Arrays], array: Any) -> Arrays:
    """function(array) of this scheme, `unfused` unless there is nothing to compute: of one tap the only value is the input."""
    return function(array) if scheme.products == 1 else unfused(function, array)


def _kernel_values(plan: _Plan, w: jax.Array) -> Arrays:
    """G w G^T, each [Cin, Cout]; value (i, j) at k * i + j."""

    def along(scheme: Scheme, w: jax.Array) -> Arrays:
        return _transform(scheme, lambda w: _combine(scheme.kernel, list(w)), w)

    return [value for row in along(plan.rows.scheme, w) for value in along(plan.columns.scheme, row)]


def _input_values(plan: _Plan, x: jax.Array) -> Arrays:
    """B^T d B of all k x k tiles of the padded x, which overlap by taps - 1: each [N * tiles, Cin]."""
    n, c, h, w = x.shape[0], x.shape[3], plan.rows, plan.columns

    def rows(x: jax.Array) -> Arrays:
        m = h.scheme.tile
        x = x.reshape(n, h.blocks, m, -1, c)
        return _combine(h.scheme.inputs, [x[:, i // m : h.tiles + i // m, i % m] for i in range(h.scheme.products)])

    def columns(row: jax.Array) -> Arrays:
        m = w.scheme.tile
        row = row.reshape(n * h.tiles, w.blocks, m, c)
        tiles = [row[:, j // m : w.tiles + j // m, j % m] for j in range(w.scheme.products)]
        return [value.reshape(-1, c) for value in _combine(w.scheme.inputs, tiles)]

    x = _padded(x, h.input_padding, w.input_padding)
    return [value for row in _transform(h.scheme, rows, x) for value in _transform(w.scheme, columns, row)]


def _output_values(plan: _Plan, dy: jax.Array) -> Arrays:
    """A dy A^T of all m x m tiles: each [N * tiles, Cout]."""
    n, c, h, w = dy.shape[0], dy.shape[3], plan.rows, plan.columns

    def rows(dy: jax.Array) -> Arrays:
        dy = dy.reshape(n * h.tiles, h.scheme.tile, -1, c)
        return _combine(h.scheme.outputs, [dy[:, i] for i in range(h.scheme.tile)])

    def columns(row: jax.Array) -> Arrays:
        row = row.reshape(-1, w.scheme.tile, c)
        return _combine(w.scheme.outputs, [row[:, j] for j in range(w.scheme.tile)])

    dy = _padded(dy, h.output_padding, w.output_padding)
    return [value for row in _transform(h.scheme, rows, dy) for value in _transform(w.scheme, columns, row)]


def _padded(x: jax.Array, rows: tuple[int, int], columns: tuple[int, int]) -> jax.Array:
    if rows == columns == (0, 0):
        return x
    return unfused(lambda x: jnp.pad(x, ((0, 0), rows, columns, (0, 0))), x)


def _outputs(plan: _Plan, n: int, products: Arrays) -> jax.Array:
    """A^T p A of all tiles, side by side: [N, H', W', Cout]."""
    h, w = plan
    k = w.scheme.products
    by_rows, by_columns = (partial(_combine, _transposed(axis.scheme.outputs)) for axis in plan)
    along_w = [_transform(w.scheme, by_columns, products[i * k : (i + 1) * k]) for i in range(h.scheme.products)]
    columns = [_transform(h.scheme, by_rows, [row[j] for row in along_w]) for j in range(w.scheme.tile)]
    y = _side_by_side(columns, n, h.tiles, w.tiles)
    return y[:, : h.out, : w.out]


def _inputs(plan: _Plan, n: int, products: Arrays) -> jax.Array:
    """B p B^T of all tiles, added up where they overlap: [N, H, W, Cin]."""
    h, w = plan
    k = w.scheme.products
    by_rows, by_columns = (partial(_combine, _transposed(axis.scheme.inputs)) for axis in plan)
    products = [values.reshape(n, h.tiles, w.tiles, -1) for values in products]
    along_w = [
        _overlapped(w.scheme, _transform(w.scheme, by_columns, products[i * k : (i + 1) * k]), 2)
        for i in range(h.scheme.products)
    ]
    columns = [
        _overlapped(h.scheme, _transform(h.scheme, by_rows, [row[j] for row in along_w]), 1)
        for j in range(w.scheme.tile)
    ]
    x = _side_by_side(columns, n, h.blocks, w.blocks)
    return x[:, h.padding : h.padding + h.size, w.padding : w.padding + w.size]


def _overlapped(scheme: Scheme, arrays: Arrays, axis: int) -> Arrays:
    """Rows i of all tiles along an axis -> rows i of blocks of m, one more than tiles: a tile's last are the next block's."""
    if scheme.taps == 1:
        return arrays

    def pad(x: jax.Array, before: int) -> jax.Array:
        return jnp.pad(x, [(before, 1 - before) if i == axis else (0, 0) for i in range(x.ndim)])

    blocks = [pad(array, 0) for array in arrays[: scheme.tile]]
    for i, array in enumerate(arrays[scheme.tile :]):
        blocks[i] = blocks[i] + pad(array, 1)
    return blocks


def _side_by_side(columns: list[Arrays], n: int, th: int, tw: int) -> jax.Array:
    """columns[j][i]: pixel (i, j) of each of the th x tw tiles -> [N, th * mh, tw * mw, C].

    One concatenation, which by itself is copies; for m = 4 of more than eight arrays, which XLA does not fuse with the
    transposition that follows, one number at a time.
    """
    mh, mw = len(columns[0]), len(columns)
    if mh == mw == 1:
        return columns[0][0].reshape(n, th, tw, -1)

    def side_by_side(columns: list[Arrays]) -> jax.Array:
        pixels = [columns[j][i].reshape(n, th, tw, 1, -1) for i in range(mh) for j in range(mw)]
        y = jnp.concatenate(pixels, axis=3).reshape(n, th, tw, mh, mw, -1)
        return y.transpose(0, 1, 3, 2, 4, 5).reshape(n, mh * th, mw * tw, -1)

    return unfused(side_by_side, columns)
