"""Image-space filtering and corruptions: octave-band gains, white noise, cutout. Reference: ADA, appendix B."""

import functools

import jax.numpy as jnp
import numpy as np
from jax import Array

from sg3x.training.augment.config import AugmentConfig
from sg3x.training.augment.draws import Draws, kept
from sg3x.training.augment.resample import reflected
from sg3x.training.augment.wavelets import sym2_filter_bank

_BAND_POWER = np.array([10, 1, 1, 1], np.float32) / np.float32(
    13
)  # of natural images: 1/f, so the lowest band dominates


def band_gains(config: AugmentConfig, p: Array, draws: Draws) -> Array:
    """float32[n, 4]: each image's gains of the four bands, such that the expected power of a natural image is kept."""
    total = jnp.ones((1, 4), jnp.float32)
    for band, multiplier in enumerate(config.imgfilter_bands):
        value = kept(draws, f"imgfilter{band}", config.imgfilter * multiplier * p)
        amplified = jnp.exp2(config.imgfilter_std * value)[:, None]
        gains = jnp.where(np.arange(4)[None] == band, amplified, jnp.ones_like(amplified))
        total = total * gains / jnp.sqrt(jnp.sum(_BAND_POWER[None] * gains**2, axis=1, keepdims=True))
    return total


def filter_bands(images: Array, gains: Array) -> Array:
    """Images [n, h, w, c], continued by reflection, with their bands along x and along y multiplied by gains [n, 4].

    The filters differ between images, so each image's is written as a banded matrix: two batched matmuls.
    """
    n, height, width, _ = images.shape
    gains = gains.astype(images.dtype)
    along_y, along_x = (
        jnp.einsum("nb,bij->nij", gains, jnp.asarray(band_matrices(size), images.dtype), precision="highest")
        for size in (height, width)
    )
    images = jnp.matmul(along_y, images.reshape(n, height, -1), precision="highest").reshape(images.shape)
    return jnp.einsum("npw,nhwc->nhpc", along_x, images, precision="highest")


@functools.cache
def band_matrices(size: int) -> np.ndarray:
    """float32[4, size, size]: the filter bank along an axis that is continued by reflection (edge not repeated)."""
    bank = sym2_filter_bank()
    matrices = np.zeros((4, size, size))
    rows = np.arange(size)
    for tap in range(bank.shape[1]):
        columns = reflected(rows + tap - bank.shape[1] // 2, size)
        matrices[:, rows, columns] += bank[:, tap, None]
    return matrices.astype(np.float32)


def add_noise(images: Array, config: AugmentConfig, p: Array, draws: Draws) -> Array:
    """Images [n, h, w, c] plus white noise whose standard deviation, one per image, is half-normal."""
    assert draws.pixels is not None  # drawn because noise is enabled
    sigma = jnp.abs(kept(draws, "noise", config.noise * p)) * config.noise_std
    return images + (sigma[:, None, None, None] * draws.pixels).astype(images.dtype)


def cut_out(images: Array, config: AugmentConfig, p: Array, draws: Draws) -> Array:
    """Images [n, h, w, c] with a rectangle of cutout_size blanked: pixels whose centre is inside along both axes."""
    _, height, width, _ = images.shape
    center = kept(draws, "cutout", config.cutout * p)

    def inside(size: int, center: Array) -> Array:
        position = (np.arange(size, dtype=np.float32) + 0.5) / size
        return jnp.abs(position[None, :] - center[:, None]) < config.cutout_size / 2

    hole = inside(height, center[:, 1])[:, :, None, None] & inside(width, center[:, 0])[:, None, :, None]
    return jnp.where(hole, jnp.zeros_like(images), images)
