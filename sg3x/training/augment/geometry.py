"""Geometric augmentations: the families' matrices, composed per image. Reference: ADA, appendix B.

Each family contributes a matrix of the inverse map, from an output pixel to the input pixel it shows, in pixels from
the image centre, x right, y down. A later family multiplies from the right: it acts first on the output position.
"""

import jax.numpy as jnp
from jax import Array

from sg3x.training.augment.config import AugmentConfig
from sg3x.training.augment.draws import Draws, kept


def inverse_matrix(config: AugmentConfig, p: Array, draws: Draws, height: int, width: int) -> Array:
    """float32[n, 3, 3]: where each output position of each image comes from, given the draws; p is a scalar."""
    n = next(iter(draws.gate.values())).shape[0]
    total = jnp.broadcast_to(jnp.eye(3, dtype=jnp.float32), (n, 3, 3))
    for factor in _factors(config, p, draws, height, width):
        total = jnp.matmul(total, factor, precision="highest")
    return total


def _factors(config: AugmentConfig, p: Array, draws: Draws, height: int, width: int) -> list[Array]:
    """The enabled families' matrices, in their order."""
    factors = []
    if config.xflip > 0:
        mirrored = jnp.floor(2 * kept(draws, "xflip", config.xflip * p))
        factors.append(_scaling(1 - 2 * mirrored, jnp.ones_like(mirrored)))
    if config.rotate90 > 0:
        factors.append(_rotation(jnp.pi / 2 * jnp.floor(4 * kept(draws, "rotate90", config.rotate90 * p))))
    if config.xint > 0:
        shift = (2 * kept(draws, "xint", config.xint * p) - 1) * config.xint_max
        factors.append(_translation(-jnp.round(shift[:, 0] * width), -jnp.round(shift[:, 1] * height)))
    if config.scale > 0:
        factor = jnp.exp2(-config.scale_std * kept(draws, "scale", config.scale * p))
        factors.append(_scaling(factor, factor))
    if config.rotate > 0:
        factors.append(_free_rotation(config, p, draws, "rotate_pre"))
    if config.aniso > 0:
        factor = jnp.exp2(-config.aniso_std * kept(draws, "aniso", config.aniso * p))
        factors.append(_scaling(factor, 1 / factor))
    if config.rotate > 0:
        factors.append(_free_rotation(config, p, draws, "rotate_post"))
    if config.xfrac > 0:
        shift = kept(draws, "xfrac", config.xfrac * p) * config.xfrac_std
        factors.append(_translation(-shift[:, 0] * width, -shift[:, 1] * height))
    return factors


def _free_rotation(config: AugmentConfig, p: Array, draws: Draws, name: str) -> Array:
    """One of the two rotations, before and after the anisotropic scaling.

    Each fires with probability 1 - sqrt(1 - p), so that an image stays unturned with probability 1 - p. p has no upper
    limit: the root's argument is kept from going negative.
    """
    probability = 1 - jnp.sqrt(jnp.clip(1 - config.rotate * p, 0, 1))
    return _rotation((2 * kept(draws, name, probability) - 1) * (jnp.pi * config.rotate_max))


def _rotation(angle: Array) -> Array:
    """[[cos, -sin], [sin, cos]] for angles [n] in radians, homogeneous: [n, 3, 3]."""
    cos, sin, zero = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)
    return _homogeneous(cos, -sin, zero, sin, cos, zero)


def _scaling(x: Array, y: Array) -> Array:
    """diag(x, y), homogeneous: [n, 3, 3]."""
    zero = jnp.zeros_like(x)
    return _homogeneous(x, zero, zero, zero, y, zero)


def _translation(x: Array, y: Array) -> Array:
    """Moves by (x, y), homogeneous: [n, 3, 3]."""
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    return _homogeneous(one, zero, x, zero, one, y)


def _homogeneous(*rows: Array) -> Array:
    """Two rows of three coefficients [n] each, completed by (0, 0, 1): [n, 3, 3]."""
    zero, one = jnp.zeros_like(rows[0]), jnp.ones_like(rows[0])
    return jnp.stack([*rows, zero, zero, one], axis=-1).reshape(-1, 3, 3)
