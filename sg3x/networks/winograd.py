"""3x3 convolutions with 2.25 times fewer multiplications (Winograd 1980; F(2x2, 3x3) of Lavin and Gray 2016), for CPUs.

Two neighbouring outputs of a 3-tap correlation come from four products instead of six,
    y = A^T ((G w) * (B^T d)),   d: 4 inputs, w: 3 taps,
and a 2x2 tile of outputs from 16 instead of 36. Summed over input channels, each of the 16 is a matrix product over tiles.
The gradient of w is the same read backwards, G^T ((B^T d) * (A dy)). Rounding errors are two to three times those of the direct
sum. F(4x4, 3x3) was tried: fewer multiplications still, ten times the rounding error.

The 16 points stay 16 arrays behind barriers: stacked into one, or fused into what reads them, XLA computes them one number at
a time, five times slower.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

Points = list[jax.Array]  # 16 of them, point (i, j) at 4 * i + j

# G of three taps read backwards is G of the taps with its points in this order.
BACKWARDS = (3, 1, 2, 0)


def _input_points(d: list[jax.Array]) -> list[jax.Array]:
    """B^T d."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _kernel_points(w: list[jax.Array]) -> list[jax.Array]:
    """G w."""
    outer, inner = (w[0] + w[2]) * 0.5, w[1] * 0.5
    return [w[0], outer + inner, outer - inner, w[2]]


def _outputs(m: list[jax.Array]) -> list[jax.Array]:
    """A^T m."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _output_points(d: list[jax.Array]) -> list[jax.Array]:
    """A d."""
    return [d[0], d[0] + d[1], d[0] - d[1], -d[1]]


def _taps(p: list[jax.Array]) -> list[jax.Array]:
    """G^T p."""
    middle = (p[1] + p[2]) * 0.5
    return [p[0] + middle, (p[1] - p[2]) * 0.5, middle + p[3]]


def winograd_conv(x: jax.Array, w: jax.Array, padding: int) -> jax.Array:
    """Correlation of x[N, H, W, Cin] with w[3, 3, Cin, Cout], zero `padding` on every side -> [N, H', W', Cout].

    Differentiable to any order: it and its two gradients are linear in both arguments, and the gradients of each are the
    other two.
    """
    return _conv(padding, x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(padding: int, x: jax.Array, w: jax.Array) -> jax.Array:
    return _correlate(x, _kernel(w), 0, padding)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(padding: int, dy: jax.Array, w: jax.Array) -> jax.Array:
    """The gradient of x, given that of the output, dy[N, H', W', Cout]."""
    points = _kernel(w)
    return _correlate(dy, [points[4 * i + j] for i in BACKWARDS for j in BACKWARDS], 1, 2 - padding)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weight_gradient(padding: int, x: jax.Array, dy: jax.Array) -> jax.Array:
    """The gradient of w."""
    n, h, w, c_out = dy.shape
    tiles = (h + 1) // 2, (w + 1) // 2
    dy = jnp.pad(dy, ((0, 0), (0, 2 * tiles[0] - h), (0, 2 * tiles[1] - w), (0, 0)))
    dy = dy.reshape(n, tiles[0], 2, tiles[1], 2, c_out)
    rows = _output_points([dy[:, :, 0], dy[:, :, 1]])
    points = [point for row in rows for point in _output_points([row[:, :, :, 0], row[:, :, :, 1]])]
    outputs = lax.optimization_barrier([point.reshape(-1, c_out) for point in points])
    products = _products(_input_tiles(x, padding, tiles), outputs, 0, 0)
    columns = [_taps([products[4 * i + j] for i in range(4)]) for j in range(4)]
    return jnp.stack([jnp.stack(_taps([columns[j][row] for j in range(4)])) for row in range(3)])


def _conv_bwd(padding: int, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = saved
    return _input_gradient(padding, g, w), _weight_gradient(padding, x, g)


def _input_gradient_bwd(padding: int, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    dy, w = saved
    return _conv(padding, g, w), _weight_gradient(padding, g, dy)


def _weight_gradient_bwd(padding: int, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, dy = saved
    return _input_gradient(padding, dy, g), _conv(padding, x, g)


_conv.defvjp(lambda padding, x, w: (_conv(padding, x, w), (x, w)), _conv_bwd)
_input_gradient.defvjp(lambda padding, dy, w: (_input_gradient(padding, dy, w), (dy, w)), _input_gradient_bwd)
_weight_gradient.defvjp(lambda padding, x, dy: (_weight_gradient(padding, x, dy), (x, dy)), _weight_gradient_bwd)


def _kernel(w: jax.Array) -> Points:
    """G w G^T, each [Cin, Cout]."""
    rows = _kernel_points([w[0], w[1], w[2]])
    return lax.optimization_barrier([point for row in rows for point in _kernel_points([row[0], row[1], row[2]])])


def _products(a: Points, b: Points, axis_a: int, axis_b: int) -> Points:
    """Matrix product of each pair over these axes."""
    over = (((axis_a,), (axis_b,)), ((), ()))
    return lax.optimization_barrier([lax.dot_general(one, other, over) for one, other in zip(a, b, strict=True)])


def _correlate(x: jax.Array, kernel: Points, axis: int, padding: int) -> jax.Array:
    """Correlation with the kernel of these points, summed over their `axis`."""
    n, out = x.shape[0], (x.shape[1] + 2 * padding - 2, x.shape[2] + 2 * padding - 2)
    tiles = (out[0] + 1) // 2, (out[1] + 1) // 2
    products = _products(_input_tiles(x, padding, tiles), kernel, 1, axis)
    along_w = [_outputs(products[4 * i : 4 * i + 4]) for i in range(4)]
    left, right = (_outputs([row[j] for row in along_w]) for j in range(2))
    corners = lax.optimization_barrier([left[0], right[0], left[1], right[1]])
    corners = [corner.reshape(n, tiles[0], 1, tiles[1], 1, -1) for corner in corners]
    y = jnp.concatenate([jnp.concatenate(corners[i : i + 2], axis=4) for i in (0, 2)], axis=2)
    return y.reshape(n, 2 * tiles[0], 2 * tiles[1], -1)[:, : out[0], : out[1]]


def _input_tiles(x: jax.Array, padding: int, tiles: tuple[int, int]) -> Points:
    """B^T d B of all 4x4 tiles, which overlap by half, each [N * tiles, C]."""
    n, height, width, c = x.shape
    th, tw = tiles
    below = 2 * th + 2 - height - padding, 2 * tw + 2 - width - padding
    x = jnp.pad(x, ((0, 0), (padding, below[0]), (padding, below[1]), (0, 0)))
    x = x.reshape(n, th + 1, 2, tw + 1, 2, c)  # even and odd pixels apart
    points = []
    for row in _input_points([x[:, :-1, 0], x[:, :-1, 1], x[:, 1:, 0], x[:, 1:, 1]]):
        points += _input_points([row[:, :, :-1, 0], row[:, :, :-1, 1], row[:, :, 1:, 0], row[:, :, 1:, 1]])
    return lax.optimization_barrier([point.reshape(n * th * tw, c) for point in points])
