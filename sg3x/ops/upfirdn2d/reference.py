"""upfirdn2d by its definition: zero insertion, padding, one depthwise convolution. Plain, and slow."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sg3x.ops.fir import output_size


def upfirdn2d_reference(
    x: jax.Array,
    f: np.ndarray | jax.Array | None,
    up: tuple[int, int],
    down: tuple[int, int],
    padding: tuple[int, int, int, int],
    gain: float,
    flip_filter: bool,
) -> jax.Array:
    """The definition, as one depthwise convolution of the zero-inserted image. See `upfirdn2d`."""
    kernel = jnp.ones((1, 1), x.dtype) if f is None else jnp.asarray(f, x.dtype)
    if kernel.ndim == 1:
        kernel = jnp.outer(kernel, kernel)
    if not flip_filter:
        kernel = kernel[::-1, ::-1]
    x0, x1, y0, y1 = padding
    output_size(x.shape[1], kernel.shape[0], up[1], down[1], y0, y1)
    output_size(x.shape[2], kernel.shape[1], up[0], down[0], x0, x1)
    n, h, w, c = x.shape
    z = jnp.zeros((n, h, up[1], w, up[0], c), x.dtype).at[:, :, 0, :, 0].set(x).reshape(n, h * up[1], w * up[0], c)
    z = lax.pad(z, jnp.zeros((), x.dtype), [(0, 0, 0), (y0, y1, 0), (x0, x1, 0), (0, 0, 0)])
    kernel = jnp.tile(kernel[:, :, None, None] * gain, (1, 1, 1, c))
    return lax.conv_general_dilated(
        z, kernel, (down[1], down[0]), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=c
    )
