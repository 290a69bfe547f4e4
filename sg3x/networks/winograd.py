"""3x3 convolutions with fewer multiplications (Winograd 1980; F(m x m, 3 x 3) of Lavin and Gray 2016), for CPUs.

m neighbouring outputs of a 3-tap correlation come from m + 2 products instead of 3 m,
    y = A^T ((G w) * (B^T d)),   d: m + 2 inputs, w: 3 taps,
and an m x m tile of outputs from (m + 2)^2 instead of 9 m^2: 2.25 times fewer for m = 2, 4 times for m = 4. Summed over input
channels, each of the (m + 2)^2 is a matrix product over tiles. The form is trilinear, so that both gradients are the same read
the other way:
    dd = B ((G w) * (A dy)),   dw = G^T ((B^T d) * (A dy)).

Rounding errors (root mean square, 512 channels) are twice those of the direct sum for m = 2, six times for m = 4 at the points
below; thirteen times at the customary 0, +-1, +-2.

The products stay separate arrays: stacked into one, XLA computes what reads or writes them one number at a time, five times
slower. Transforms go along one axis after the other, each `apart`: fused, the first would be computed again for each term of
the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from sg3x.signal.apart import apart

Arrays = list[jax.Array]
Matrix = tuple[tuple[float, ...], ...]
TAPS = 3


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


def toom_cook(points: Sequence[Fraction | int], tile: int) -> Scheme:
    """The scheme that multiplies polynomials by their values at these tile + 1 points and at infinity (Toom 1963, Cook 1966)."""

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
        kernel.append([Fraction(point) ** j / value for j in range(TAPS)])
        inputs.append([*polynomial, Fraction(0)])
    kernel.append([Fraction(j == TAPS - 1) for j in range(TAPS)])
    inputs.append(with_roots(points))
    return Scheme(*(tuple(tuple(float(c) for c in row) for row in matrix) for matrix in (outputs, kernel, inputs)))


SMALL = toom_cook((0, 1, -1), 2)
# Of the points +-a, +-b in steps of 1/16 and 1/8, those with the smallest errors; all of their powers here are exact.
LARGE = toom_cook((0, Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2)), 4)
# From how many output pixels on the fewer products outweigh the transform of the kernel (512 channels, a CPU).
LARGE_PIXELS = 32 * 32


def winograd_conv(x: jax.Array, w: jax.Array, padding: int) -> jax.Array:
    """Correlation of x[N, H, W, Cin] with w[3, 3, Cin, Cout], zero `padding` on every side -> [N, H', W', Cout].

    Differentiable to any order: it and its two gradients are linear in both arguments, and the gradients of each are the
    other two.
    """
    height, width = (side + 2 * padding - TAPS + 1 for side in x.shape[1:3])
    scheme = LARGE if height * width >= LARGE_PIXELS else SMALL
    return _conv(_Plan(scheme, padding, x.shape[1:3], (height, width)), x, w)


class _Plan(NamedTuple):
    scheme: Scheme
    padding: int
    size: tuple[int, ...]  # of x
    out: tuple[int, int]

    @property
    def tiles(self) -> tuple[int, int]:
        height, width = (-(-side // self.scheme.tile) for side in self.out)
        return height, width


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
    k, to_taps = plan.scheme.products, _transposed(plan.scheme.kernel)
    columns = [_combine(to_taps, products[j::k]) for j in range(k)]
    return jnp.stack([jnp.stack(_combine(to_taps, [column[row] for column in columns])) for row in range(TAPS)])


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


def _kernel_values(plan: _Plan, w: jax.Array) -> Arrays:
    """G w G^T, each [Cin, Cout]; value (i, j) at k * i + j."""

    def transformed(w: jax.Array) -> Arrays:
        return _combine(plan.scheme.kernel, list(w))

    return [value for row in apart(transformed, w) for value in apart(transformed, row)]


def _input_values(plan: _Plan, x: jax.Array) -> Arrays:
    """B^T d B of all k x k tiles of the padded x, which overlap by two: each [N * tiles, Cin]."""
    (n, height, width, c), m, (th, tw), k = x.shape, plan.scheme.tile, plan.tiles, plan.scheme.products
    below, right = (th + 1) * m - height - plan.padding, (tw + 1) * m - width - plan.padding

    def rows(x: jax.Array) -> Arrays:
        x = x.reshape(n, th + 1, m, (tw + 1) * m, c)
        return _combine(plan.scheme.inputs, [x[:, i // m : th + i // m, i % m] for i in range(k)])

    def columns(row: jax.Array) -> Arrays:
        row = row.reshape(n * th, tw + 1, m, c)
        values = _combine(plan.scheme.inputs, [row[:, j // m : tw + j // m, j % m] for j in range(k)])
        return [value.reshape(n * th * tw, c) for value in values]

    x = _padded(x, (plan.padding, below), (plan.padding, right))
    return [value for row in apart(rows, x) for value in apart(columns, row)]


def _output_values(plan: _Plan, dy: jax.Array) -> Arrays:
    """A dy A^T of all m x m tiles: each [N * tiles, Cout]."""
    (n, height, width, c), m, (th, tw) = dy.shape, plan.scheme.tile, plan.tiles

    def rows(dy: jax.Array) -> Arrays:
        dy = dy.reshape(n * th, m, tw * m, c)
        return _combine(plan.scheme.outputs, [dy[:, i] for i in range(m)])

    def columns(row: jax.Array) -> Arrays:
        row = row.reshape(n * th * tw, m, c)
        return _combine(plan.scheme.outputs, [row[:, j] for j in range(m)])

    dy = _padded(dy, (0, th * m - height), (0, tw * m - width))
    return [value for row in apart(rows, dy) for value in apart(columns, row)]


def _padded(x: jax.Array, rows: tuple[int, int], columns: tuple[int, int]) -> jax.Array:
    return apart(lambda x: jnp.pad(x, ((0, 0), rows, columns, (0, 0))), x)


def _outputs(plan: _Plan, n: int, products: Arrays) -> jax.Array:
    """A^T p A of all tiles, side by side: [N, H', W', Cout]."""
    m, k, transformed = plan.scheme.tile, plan.scheme.products, partial(_combine, _transposed(plan.scheme.outputs))
    along_w = [apart(transformed, products[i * k : (i + 1) * k]) for i in range(k)]
    columns = [apart(transformed, [row[j] for row in along_w]) for j in range(m)]
    y = apart(lambda columns: _side_by_side(columns, n, *plan.tiles), columns)
    return y[:, : plan.out[0], : plan.out[1]]


def _inputs(plan: _Plan, n: int, products: Arrays) -> jax.Array:
    """B p B^T of all tiles, added up where they overlap: [N, H, W, Cin]."""
    m, k, (th, tw) = plan.scheme.tile, plan.scheme.products, plan.tiles
    transformed = partial(_combine, _transposed(plan.scheme.inputs))
    products = [product.reshape(n, th, tw, -1) for product in products]
    along_w = [_overlapped(apart(transformed, products[i * k : (i + 1) * k]), m, 2) for i in range(k)]
    columns = [_overlapped(apart(transformed, [row[j] for row in along_w]), m, 1) for j in range(m)]
    x = apart(lambda columns: _side_by_side(columns, n, th + 1, tw + 1), columns)
    low, (height, width) = plan.padding, plan.size
    return x[:, low : low + height, low : low + width]


def _overlapped(arrays: Arrays, m: int, axis: int) -> Arrays:
    """Rows i of all tiles along an axis -> rows i of blocks of m, one more than tiles: a tile's last two are the next block's."""

    def pad(x: jax.Array, before: int) -> jax.Array:
        return jnp.pad(x, [(before, 1 - before) if i == axis else (0, 0) for i in range(x.ndim)])

    blocks = [pad(array, 0) for array in arrays[:m]]
    for i, array in enumerate(arrays[m:]):
        blocks[i] = blocks[i] + pad(array, 1)
    return blocks


def _side_by_side(columns: list[Arrays], n: int, th: int, tw: int) -> jax.Array:
    """columns[j][i]: pixel (i, j) of each of the th x tw tiles -> [N, th * m, tw * m, C].

    One concatenation, which by itself is copies; for m = 4 of more than eight arrays, which XLA does not fuse with the
    transposition that follows, one number at a time.
    """
    m = len(columns)
    pixels = [columns[j][i].reshape(n, th, tw, 1, -1) for i in range(m) for j in range(m)]
    y = jnp.concatenate(pixels, axis=3).reshape(n, th, tw, m, m, -1)
    return y.transpose(0, 1, 3, 2, 4, 5).reshape(n, m * th, m * tw, -1)
