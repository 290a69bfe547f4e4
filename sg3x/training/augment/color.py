"""Colour augmentations: the families' 4x4 matrices, composed per image. Reference: ADA, appendix B.

A later family multiplies from the left. The luma axis v = (1, 1, 1)/sqrt 3 is kept by hue and saturation.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from sg3x.training.augment.config import AugmentConfig
from sg3x.training.augment.draws import Draws, kept

_AXIS = np.array([1, 1, 1, 0], np.float32) / np.float32(np.sqrt(3))
_LUMA = np.outer(_AXIS, _AXIS)  # projection on the luma axis
_ONE = np.eye(4, dtype=np.float32)
_CHROMA = np.diag(np.array([1, 1, 1, 0], np.float32)) - _LUMA  # projection on the plane across it
_CROSS = np.zeros((4, 4), np.float32)  # v x ., a quarter turn within that plane
_CROSS[:3, :3] = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)


def color_matrix(config: AugmentConfig, p: Array, draws: Draws) -> Array:
    """float32[n, 4, 4]: what each image's (r, g, b, 1) is multiplied by, given the draws; p is a scalar."""
    n = next(iter(draws.gate.values())).shape[0]
    total = jnp.broadcast_to(jnp.asarray(_ONE), (n, 4, 4))
    for factor in _factors(config, p, draws):
        total = jnp.matmul(factor, total, precision="highest")
    return total


def _factors(config: AugmentConfig, p: Array, draws: Draws) -> list[Array]:
    """The enabled families' matrices [n, 4, 4], in their order; without draws (single-channel images), left out."""

    def value(name: str) -> Array:
        return kept(draws, name, getattr(config, name) * p)[:, None, None]

    factors: list[Any] = []  # JAX arrays; constants among them are numpy's
    if config.brightness > 0:
        up = np.zeros((4, 4), np.float32)
        up[:3, 3] = 1
        factors.append(_ONE[None] + config.brightness_std * value("brightness") * up[None])
    if config.contrast > 0:
        gain = jnp.exp2(config.contrast_std * value("contrast"))
        factors.append(gain * (_LUMA + _CHROMA)[None] + np.diag(np.array([0, 0, 0, 1], np.float32))[None])
    if config.lumaflip > 0:
        flipped = jnp.floor(2 * value("lumaflip"))
        factors.append(_ONE[None] - 2 * flipped * _LUMA[None])
    if "hue" in draws.value:
        angle = (2 * value("hue") - 1) * (jnp.pi * config.hue_max)
        turn = (jnp.cos(angle) - 1) * _CHROMA[None] + jnp.sin(angle) * _CROSS[None]
        factors.append(_ONE[None] + turn)
    if "saturation" in draws.value:
        gain = jnp.exp2(config.saturation_std * value("saturation"))
        factors.append(_ONE[None] + (gain - 1) * _CHROMA[None])
    return factors


def recolor(images: Array, matrix: Array) -> Array:
    """Images [n, h, w, 3] with each pixel multiplied by its image's matrix [n, 4, 4].

    Single-channel images [n, h, w, 1] are treated as grey: equal inputs, the mean of the outputs. Raises ValueError for
    other channel counts.
    """
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(
            f"colour augmentation needs 1 or 3 channels, got {channels}: choose a pipe without (params.yaml: augment)"
        )
    matrix = matrix.astype(images.dtype)
    linear, offset = matrix[:, :3, :3], matrix[:, :3, 3]
    if channels == 1:
        linear, offset = linear.sum(2, keepdims=True).mean(1, keepdims=True), offset.mean(1, keepdims=True)
    # Written out, it is one loop over the pixels; a matmul with a side of 3 would be all overhead, and inexact on TPUs.
    mixed = sum(linear[:, None, None, :, c] * images[..., c : c + 1] for c in range(channels))
    return mixed + offset[:, None, None, :]
