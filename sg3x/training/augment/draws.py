"""The random numbers of the augmentation pipe: one table of families, and the draws of a batch as a pytree.

Every family draws, for each image, a value (uniform in [0, 1) or standard normal) and a gate (uniform in [0, 1)). Where
gate < probability the value counts, elsewhere a neutral one does. The draws are separate from what is done with them so
that tests can feed recorded numbers, and so that a step can be replayed.
"""

import zlib
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import erfinv

from sg3x.training.augment.config import AugmentConfig


@dataclass(frozen=True)
class Family:
    """The draw of one family: its switch, kind and number of values, and the neutral one."""

    # fmt: off
    multiplier: str     # the AugmentConfig field that enables it
    normal: bool        # standard normal, otherwise uniform
    neutral: float      # the value that does nothing
    axes: int = 0       # 2: one value per axis, x first; 0: a single one
    # fmt: on


FAMILIES: dict[str, Family] = {
    "xflip": Family("xflip", normal=False, neutral=0.0),
    "rotate90": Family("rotate90", normal=False, neutral=0.0),
    "xint": Family("xint", normal=False, neutral=0.5, axes=2),
    "scale": Family("scale", normal=True, neutral=0.0),
    "rotate_pre": Family("rotate", normal=False, neutral=0.5),
    "aniso": Family("aniso", normal=True, neutral=0.0),
    "rotate_post": Family("rotate", normal=False, neutral=0.5),
    "xfrac": Family("xfrac", normal=True, neutral=0.0, axes=2),
    "brightness": Family("brightness", normal=True, neutral=0.0),
    "contrast": Family("contrast", normal=True, neutral=0.0),
    "lumaflip": Family("lumaflip", normal=False, neutral=0.0),
    "hue": Family("hue", normal=False, neutral=0.5),
    "saturation": Family("saturation", normal=True, neutral=0.0),
    "imgfilter0": Family("imgfilter", normal=True, neutral=0.0),
    "imgfilter1": Family("imgfilter", normal=True, neutral=0.0),
    "imgfilter2": Family("imgfilter", normal=True, neutral=0.0),
    "imgfilter3": Family("imgfilter", normal=True, neutral=0.0),
    "noise": Family("noise", normal=True, neutral=0.0),
    "cutout": Family("cutout", normal=False, neutral=float("inf"), axes=2),  # a hole centred infinitely far away
}

_CHROMATIC = ("hue", "saturation")  # mean nothing to single-channel images


class Draws(NamedTuple):
    """All random numbers of a batch of n images; the keys are those of FAMILIES that are enabled."""

    # fmt: off
    value: dict[str, Array]     # float32[n] or float32[n, 2] (x first)
    gate: dict[str, Array]      # float32[n]
    pixels: Array | None        # float32[n, height, width, channels], standard normal, for the noise
    # fmt: on


def draw(config: AugmentConfig, key: Array, n: int, height: int, width: int, channels: int) -> Draws:
    """Draws all random numbers for n images of [height, width, channels].

    Image i's numbers depend on (key, i) only: neither on n, nor on how the batch is sharded, nor on which other
    families are enabled: each family has its own key, and counter-based generators fill arrays element by element.
    """
    names = enabled_families(config, channels)
    uniform = _uniform(key, names, n)
    value = {name: _values(FAMILIES[name], table[:, :2]) for name, table in zip(names, uniform, strict=True)}
    gate = {name: table[:, 2] for name, table in zip(names, uniform, strict=True)}
    pixels = None
    if config.noise > 0:
        pixels = jax.random.normal(_fold(key, "pixels"), (n, height, width, channels), jnp.float32)
    return Draws(value, gate, pixels)


def enabled_families(config: AugmentConfig, channels: int) -> list[str]:
    """Names of the FAMILIES that draw for images of that many channels."""
    on = [name for name, family in FAMILIES.items() if getattr(config, family.multiplier) > 0]
    return [name for name in on if not (channels == 1 and name in _CHROMATIC)]


def force_percentile(config: AugmentConfig, draws: Draws, q: float) -> Draws:
    """The draws with every value at percentile q and every gate open, for debugging and golden files.

    Whatever has the multiplier 0 stays neutral, here as in training: a band of imgfilter_bands too.

    A uniform value becomes q and a normal one erfinv(2q - 1), which is the quantile divided by sqrt 2: the published
    pipe does so and its recorded outputs can be compared. The second rotation stays neutral, or it would double the
    first; the noise's amplitude, a half-normal, becomes erfinv(q). Raises ValueError unless 0 < q < 1.
    """
    if not 0 < q < 1:
        raise ValueError(f"debug_percentile must lie strictly between 0 and 1, got {q!r}")

    def forced(name: str) -> Array | float:
        if not FAMILIES[name].normal:
            return q
        return erfinv(jnp.float32(q if name == "noise" else 2 * q - 1))

    value = {name: jnp.full_like(old, forced(name)) for name, old in draws.value.items()}
    shut = {"rotate_post", *(f"imgfilter{band}" for band, m in enumerate(config.imgfilter_bands) if m == 0)}
    gate = {name: jnp.full_like(old, jnp.inf if name in shut else -jnp.inf) for name, old in draws.gate.items()}
    return draws._replace(value=value, gate=gate)


def kept(draws: Draws, name: str, probability: Array) -> Array:
    """The family's values where its gate is below the probability (a scalar), its neutral value elsewhere."""
    value, gate = draws.value[name], draws.gate[name]
    fires = (gate < probability).reshape(gate.shape + (1,) * (value.ndim - 1))
    return jnp.where(fires, value, jnp.full_like(value, FAMILIES[name].neutral))


def _fold(key: Array, purpose: str) -> Array:
    """A key of its own for each purpose: a checksum of the name, so that a new family cannot shift the others."""
    return jax.random.fold_in(key, zlib.crc32(purpose.encode()))


def _uniform(key: Array, names: list[str], n: int) -> list[Array]:
    """For each family a table float32[n, 3], uniform in [0, 1); in one call, as each takes 0.7 s to compile."""
    if not names:
        return []
    numbers = np.array([zlib.crc32(name.encode()) for name in names], np.uint32)
    keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
    return list(jax.vmap(lambda folded: jax.random.uniform(folded, (n, 3), jnp.float32))(keys))


def _values(family: Family, uniform: Array) -> Array:
    """The family's values, [n] or [n, 2], from uniform numbers [n, 2]; normal ones by inverting the distribution."""
    if family.normal:
        least = np.nextafter(np.float32(-1), np.float32(0))  # erfinv(-1) is infinite
        uniform = np.float32(np.sqrt(2)) * erfinv(jnp.maximum(2 * uniform - 1, least))
    return uniform if family.axes else uniform[:, 0]
