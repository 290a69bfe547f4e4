"""Networks as objects, for people and for scripts: weights plus configuration, callable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.networks.discriminator import DiscriminatorConfig, discriminator
from sg3x.networks.generator import W_AVG, mapping, synthesis
from sg3x.networks.layers import Params
from sg3x.networks.schedule import GeneratorConfig


class Generator:
    """A generator ready to use: G(z) -> pictures float32[N, R, R, channels]. Compiled once per batch shape.

    `transform` float[3, 3] is what `synthesis` does to its coordinates when it is not told; None is the identity, and
    all that training makes.
    """

    def __init__(self, config: GeneratorConfig, params: Params, buffers: Params, transform: Any = None) -> None:
        self.config, self.params, self.buffers = config, params, buffers
        self.transform = None if transform is None else np.asarray(transform, np.float32).reshape(3, 3)

    @property
    def z_dim(self) -> int:
        return self.config.z_dim

    @property
    def resolution(self) -> int:
        return self.config.img_resolution

    def spread(self, devices: int | None = None) -> SpreadGenerator:
        """This generator on the first `devices` devices of this process; None: on all."""
        return SpreadGenerator(self, jax.local_devices()[:devices])

    @property
    def w_avg(self) -> np.ndarray:
        """float32[w_dim], the running mean of w: where truncation leads to."""
        return np.asarray(self.buffers[W_AVG])

    def mapping(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> jax.Array:
        """ws float32[N, num_ws, w_dim] of latents z[N, z_dim] and labels c[N, c_dim] (None: an unconditional network).

        Truncation moves the first `truncation_cutoff` ws (None: all) towards w_avg: psi 1 leaves them, 0 gives w_avg.
        """
        z = jnp.asarray(z, jnp.float32)
        c = None if c is None else jnp.asarray(c, jnp.float32)
        # None: no truncation at all, not one by 1 that rounds.
        psi = None if truncation_psi == 1 else jnp.float32(truncation_psi)
        return _mapping(self.config, truncation_cutoff, self.params, self.buffers, z, c, psi)

    def synthesis(self, ws: Any, transform: Any = None) -> jax.Array:
        """Pictures float32[N, R, R, channels] of ws float[N, num_ws, w_dim].

        `transform`, float[3, 3] or [N, 3, 3], is what the Fourier input's coordinates go through: the inverse of the
        picture's motion, in units of the picture's side, the origin at its centre.
        """
        transform = self.transform if transform is None else transform
        transform = None if transform is None else jnp.asarray(transform, jnp.float32)
        if transform is not None and transform.shape not in ((3, 3), (len(ws), 3, 3)):
            raise ValueError(f"transform has shape {transform.shape}, expected [3, 3] or [{len(ws)}, 3, 3]")
        return _synthesis(self.config, self.params, self.buffers, jnp.asarray(ws, jnp.float32), transform)

    def __call__(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> jax.Array:
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff))


@partial(jax.jit, static_argnums=(0, 1))
def _mapping(config, cutoff, params, buffers, z, c, psi):
    return mapping(params, buffers, config, z, c, 1.0 if psi is None else psi, cutoff)[0]


@partial(jax.jit, static_argnums=0)
def _synthesis(config, params, buffers, ws, transform):
    return synthesis(params, buffers, config, ws, transform)[0]


class SpreadGenerator:
    """A generator over several devices: N latents are computed as equal batches, one on each, by the program that one device
    would run on its batch alone. Styles are normalised over a device's batch, so results do not depend on the others."""

    def __init__(self, generator: Generator, devices: Sequence[jax.Device]) -> None:
        self._generator, self._mesh = generator, Mesh(np.array(devices), ("data",))
        self.z_dim, self.resolution = generator.z_dim, generator.resolution
        replicated = NamedSharding(self._mesh, PartitionSpec())
        self._weights = jax.device_put((generator.params, generator.buffers), replicated)

    def mapping(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> jax.Array:
        """As the generator's; N must divide by the number of devices."""
        c = None if c is None else jnp.asarray(c, jnp.float32)
        psi = None if truncation_psi == 1 else jnp.float32(truncation_psi)
        arguments = (*self._weights, jnp.asarray(z, jnp.float32), c, psi)
        return _spread_mapping(self._generator.config, truncation_cutoff, self._mesh, *arguments)

    def synthesis(self, ws: Any, transform: Any = None) -> jax.Array:
        """As the generator's; N must divide by the number of devices. The pictures lie on the devices that made them."""
        transform = self._generator.transform if transform is None else transform
        transform = None if transform is None else jnp.asarray(transform, jnp.float32)
        arguments = (*self._weights, jnp.asarray(ws, jnp.float32), transform)
        return _spread_synthesis(self._generator.config, self._mesh, *arguments)

    def __call__(self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None):
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff))


_WHOLE, _SPLIT = PartitionSpec(), PartitionSpec("data")


@partial(jax.jit, static_argnums=(0, 1, 2))
def _spread_mapping(config, cutoff, mesh, params, buffers, z, c, psi):
    run = jax.shard_map(
        partial(_mapping, config, cutoff), mesh=mesh, in_specs=(_WHOLE, _WHOLE, _SPLIT, _SPLIT, _WHOLE),
        out_specs=_SPLIT, check_vma=False,
    )  # fmt: skip
    return run(params, buffers, z, c, psi)


@partial(jax.jit, static_argnums=(0, 1))
def _spread_synthesis(config, mesh, params, buffers, ws, transform):
    moved = _SPLIT if transform is not None and transform.ndim == 3 else _WHOLE
    run = jax.shard_map(
        partial(_synthesis, config), mesh=mesh, in_specs=(_WHOLE, _WHOLE, _SPLIT, moved), out_specs=_SPLIT,
        check_vma=False,
    )  # fmt: skip
    return run(params, buffers, ws, transform)


class Discriminator:
    """A discriminator ready to use: D(img, c) -> logits float32[N, 1]."""

    def __init__(self, config: DiscriminatorConfig, params: Params) -> None:
        self.config, self.params = config, params

    def __call__(self, img: Any, c: Any = None) -> jax.Array:
        c = None if c is None else jnp.asarray(c, jnp.float32)
        return _discriminator(self.config, self.params, jnp.asarray(img, jnp.float32), c)


@partial(jax.jit, static_argnums=0)
def _discriminator(config, params, img, c):
    return discriminator(params, config, img, c)
