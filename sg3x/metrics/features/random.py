"""Features of pictures from a fixed, untrained convolutional network: ranks models where Inception cannot be had.

Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models" (section 4.1, "random embeddings"):
a convolutional network with random weights separates sets of images well, and is the better choice where the images are
far from ImageNet. A Fréchet distance on these features is **not** a FID and is written down as ``frechet_random``.

The network, ``random-conv-v1`` (a change of anything here is another network and needs another name):

    picture in [-1, 1], no larger than 128 pixels (antialiased)
    4 blocks of  convolution 3x3 -> leaky ReLU -> division by the pixel's root mean square    (16, 32, 64, 64 channels)
    of which blocks 2 to 4 halve the resolution
    features: mean and standard deviation of each channel over the picture, blocks 1 to 3     (32 + 64 + 128)
              + block 4 averaged to a 4x4 grid, projected at random                           (32)

Means and deviations see texture, colour and sharpness; the grid sees what is where.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

NAME = "random-conv-v1"
RESIZE = "antialiased linear to 128 where larger"
DIMENSION = 256

_SEED = 20200218
_CHANNELS = (16, 32, 64, 64)
_STRIDES = (1, 2, 2, 2)
_LARGEST = 128
_GRID = 4
BATCH = 32
_LEAK = 0.2
_EXACT = jax.lax.Precision.HIGHEST  # a TPU would otherwise multiply in bfloat16, and score otherwise than a CPU
_FLOOR = 1e-2  # of the mean square: keeps the faint noise of a flat area from being blown up to full strength


def random_features(
    images: np.ndarray,
    *,
    progress: Callable[[int, int], None] | None = None,
    unrounded: bool = False,
    split: NamedSharding | None = None,
) -> np.ndarray:
    """Features of pictures; a row depends on its own picture only, and is the same bytes in every run on one machine.

    Args:
        images: uint8[N, R, R, 3] at any R >= 16, array or memory map.
        progress: called with (images done, N) after every batch.
        unrounded: the pictures are float32 in 0..255 instead.
        split: how a batch of 32 lies over devices; None: on the first. The same features up to rounding.

    Returns:
        float32[N, 256].

    Raises:
        ValueError: if ``images`` is of another type or shape.
    """
    check_images(images, smallest=16, dtype=np.float32 if unrounded else np.uint8)
    weights = _weights()
    rows = []
    for start in range(0, len(images), BATCH):
        batch = np.asarray(images[start : start + BATCH], np.float32)  # one type, one program
        count = len(batch)
        # One batch size means one compilation, and the same arithmetic for a picture whatever company it is in.
        batch = np.pad(batch, [(0, BATCH - count), (0, 0), (0, 0), (0, 0)])
        placed = batch if split is None else jax.device_put(batch, split)
        rows.append(np.asarray(_network(weights, placed))[:count])
        if progress is not None:
            progress(start + count, len(images))
    return np.concatenate(rows)


def check_images(images: np.ndarray, *, smallest: int = 1, dtype: type = np.uint8) -> None:
    """Raises ValueError unless `images` is `dtype`[N, R, R, 3] with N >= 1 and R >= `smallest`."""
    shape, found = np.shape(images), getattr(images, "dtype", type(images))
    fits = len(shape) == 4 and shape[0] > 0 and shape[1] == shape[2] and shape[1] >= smallest and shape[3] == 3
    if not fits or found != dtype:
        wanted = np.dtype(dtype).name
        raise ValueError(
            f"images are {found} {shape}; allowed is {wanted} [N, R, R, 3] with N >= 1 and R >= {smallest}"
        )


@cache
def _weights() -> dict[str, np.ndarray]:
    """The network's constants, from numpy's frozen legacy generator: float32 kernels [3, 3, in, out] and projection."""
    rng = np.random.RandomState(_SEED)
    weights = {}
    fan = 3
    for block, channels in enumerate(_CHANNELS):
        kernel = rng.randn(3, 3, fan, channels)
        if block == 0:
            # Half of the first filters see only differences between pixels: natural pictures are mostly smooth, and
            # filters with a mean would see little but brightness.
            kernel[..., ::2] -= kernel[..., ::2].mean(axis=(0, 1), keepdims=True)
        kernel /= np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
        weights[f"conv{block}"] = kernel.astype(np.float32)
        fan = channels
    width = _GRID * _GRID * fan
    rest = DIMENSION - 2 * sum(_CHANNELS[:3])
    weights["projection"] = (rng.randn(width, rest) / np.sqrt(width)).astype(np.float32)
    return weights


@jax.jit
def _network(weights: dict[str, jax.Array], images: jax.Array) -> jax.Array:
    """float32[B, R, R, 3] in 0..255 -> float32[B, 256]."""
    x = images / 127.5 - 1.0
    if x.shape[1] > _LARGEST:
        x = jax.image.resize(x, (len(x), _LARGEST, _LARGEST, 3), "linear", antialias=True, precision=_EXACT)
    pooled = []
    for block, stride in enumerate(_STRIDES):
        x = _convolution(x, weights[f"conv{block}"], stride)
        x = jnp.where(x > 0, x, _LEAK * x)
        x = x * jax.lax.rsqrt((x**2).mean(axis=3, keepdims=True) + _FLOOR)
        if block < len(_STRIDES) - 1:
            pooled += [x.mean(axis=(1, 2)), x.std(axis=(1, 2))]
    grid = jax.image.resize(x, (len(x), _GRID, _GRID, x.shape[3]), "linear", antialias=True, precision=_EXACT)
    pooled.append(jnp.matmul(grid.reshape(len(x), -1), weights["projection"], precision=_EXACT))
    return jnp.concatenate(pooled, axis=1)


def _convolution(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """3x3 convolution, [B, H, W, in] -> [B, ceil(H / stride), ceil(W / stride), out], edges repeated."""
    x = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=_EXACT
    )
