"""The augmentation pipe: geometry, then colour, then filtering, then corruptions. Reference: ADA, appendix B."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from sg3x.training.augment.color import color_matrix, recolor
from sg3x.training.augment.config import AugmentConfig
from sg3x.training.augment.corrupt import add_noise, band_gains, cut_out, filter_bands
from sg3x.training.augment.draws import Draws, draw, force_percentile
from sg3x.training.augment.geometry import inverse_matrix
from sg3x.training.augment.resample import resample


def augment_images(
    images: Array,
    p: Array | float,
    key: Array,
    *,
    config: AugmentConfig | Mapping[str, Any] | str,
    debug_percentile: float | None = None,
) -> Array:
    """Images [n, h, w, c], float32 in [-1, 1], each augmented at random by the enabled families with strength p.

    config is an AugmentConfig, its fields as a dict ({"xflip": 1, "scale": 1, "scale_std": 0.1}) or a preset ("bgc").

    p is ADA's probability, a scalar of at least 0 that may be traced; a family fires with probability multiplier * p.
    key is a jax.random key: the same key, image and index in the batch give the same result, whatever the rest of the
    batch. With debug_percentile in (0, 1) all values are forced to that percentile and every family fires.
    Differentiable in the images, repeatedly. Raises ValueError for images that are not 4-dimensional and floating, or
    too small, or of more channels than the colours know.
    """
    _check_images(images)
    config = AugmentConfig.of(config)
    if not config.enabled:
        return images
    draws = draw(config, key, *images.shape)
    if debug_percentile is not None:
        draws = force_percentile(config, draws, debug_percentile)
    return apply(images, p, draws, config=config)


def apply(images: Array, p: Array | float, draws: Draws, *, config: AugmentConfig) -> Array:
    """`augment_images` with the random numbers given: a deterministic function of images [n, h, w, c], p and draws.

    Whenever a geometric family is enabled all images are resampled, also where none fires. sym6 is orthogonal, so those
    come back as they were, up to rounding: no blur tells the discriminator which images were transformed.
    """
    _check_images(images)
    p = jax.lax.stop_gradient(jnp.asarray(p, jnp.float32))
    if config.geometric:
        images = resample(images, inverse_matrix(config, p, draws, *images.shape[1:3]))
    if config.colorful and draws.gate:
        images = recolor(images, color_matrix(config, p, draws))
    if config.imgfilter > 0:
        images = filter_bands(images, band_gains(config, p, draws))
    if config.noise > 0:
        images = add_noise(images, config, p, draws)
    if config.cutout > 0:
        images = cut_out(images, config, p, draws)
    return images


def _check_images(images: Array) -> None:
    """Raises ValueError unless the images are floating [n, h, w, c]."""
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"augmentation needs floating-point images [n, h, w, c], got {images.dtype}{list(images.shape)}"
        )
