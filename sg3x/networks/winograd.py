"""3x3 convolutions with 2.25 times fewer multiplications (Winograd 1980; F(2x2, 3x3) of Lavin and Gray 2016), for CPUs.

Two neighbouring outputs of a 3-tap correlation come from four products instead of six,
    y = A^T ((G w) * (B^T d)),   d: 4 inputs, w: 3 taps,
and a 2x2 tile of outputs from 16 instead of 36. Summed over input channels, each of the 16 is a matrix product over tiles.
Rounding errors are two to three times those of the direct sum. F(4x4, 3x3) was tried: fewer multiplications still, ten times
the rounding error, and slower, since its transforms are bound by memory.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


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


def winograd_conv(x: jax.Array, w: jax.Array, padding: int) -> jax.Array:
    """Correlation of x[N, H, W, Cin] with w[3, 3, Cin, Cout], zero `padding` on every side -> [N, H', W', Cout]."""
    n, out = x.shape[0], (x.shape[1] + 2 * padding - 2, x.shape[2] + 2 * padding - 2)
    tiles = (out[0] + 1) // 2, (out[1] + 1) // 2
    rows = _kernel_points([w[0], w[1], w[2]])
    kernels = jnp.stack([point for row in rows for point in _kernel_points([row[0], row[1], row[2]])])
    products = jnp.matmul(_input_tiles(x, padding, tiles), kernels)
    grid = products.reshape(4, 4, n, *tiles, -1)
    along_w = [_outputs([grid[i, j] for j in range(4)]) for i in range(4)]
    left, right = (_outputs([along_w[i][j] for i in range(4)]) for j in range(2))
    y = jnp.stack([jnp.stack(pair, axis=3) for pair in zip(left, right, strict=True)], axis=2)
    return y.reshape(n, 2 * tiles[0], 2 * tiles[1], -1)[:, : out[0], : out[1]]


def _input_tiles(x: jax.Array, padding: int, tiles: tuple[int, int]) -> jax.Array:
    """B^T d B of all 4x4 tiles, which overlap by half: [16, N * tiles, C]."""
    n, height, width, c = x.shape
    th, tw = tiles
    below = 2 * th + 2 - height - padding, 2 * tw + 2 - width - padding
    x = jnp.pad(x, ((0, 0), (padding, below[0]), (padding, below[1]), (0, 0)))
    x = x.reshape(n, th + 1, 2, tw + 1, 2, c)  # even and odd pixels apart
    points = []
    for row in _input_points([x[:, :-1, 0], x[:, :-1, 1], x[:, 1:, 0], x[:, 1:, 1]]):
        points += _input_points([row[:, :, :-1, 0], row[:, :, :-1, 1], row[:, :, 1:, 0], row[:, :, 1:, 1]])
    return jnp.stack([point.reshape(n * th * tw, c) for point in points])
