"""A generator over several devices of one process."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.networks.equalized import float32
from sg3x.networks.generator import Generator

_WHOLE, _SPLIT = PartitionSpec(), PartitionSpec("data")


def on_devices(generator: Generator, devices: int | None = None) -> OnDevices:
    """The generator on the first `devices` devices of this process; None: on all."""
    return OnDevices(generator, jax.local_devices()[:devices])


class OnDevices:
    """N latents are computed as equal batches, one on each device, by the program that one device would run on its batch alone.

    Styles are normalised over a device's batch, so results do not depend on the other devices.
    """

    def __init__(self, generator: Generator, devices: list[jax.Device]) -> None:
        self.mesh = Mesh(np.array(devices), ("data",))
        self.config, self.z_dim, self.resolution = generator.config, generator.z_dim, generator.resolution
        self.w_avg = generator.w_avg
        graphdef, state = nnx.split(generator, graph=False)
        self._generator = nnx.merge(graphdef, jax.device_put(state, NamedSharding(self.mesh, _WHOLE)))

    def mapping(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> jax.Array:
        """As the generator's; N must divide by the number of devices."""
        psi = None if truncation_psi == 1 else float32(truncation_psi)
        return _map(truncation_cutoff, self.mesh, self._generator, float32(z), float32(c), psi)

    def synthesis(self, ws: Any, transform: Any = None) -> jax.Array:
        """As the generator's; N must divide by the number of devices. The pictures lie on the devices that made them."""
        return _synthesize(self.mesh, self._generator, float32(ws), float32(transform))

    def __call__(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> jax.Array:
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff))


@partial(jax.jit, static_argnums=(0, 1))
def _map(cutoff, mesh, generator, z, c, psi):
    def one(generator, z, c, psi):
        return generator.mapping(z, c, 1.0 if psi is None else psi, cutoff)

    specs = (_WHOLE, _SPLIT, _SPLIT, _WHOLE)
    return jax.shard_map(one, mesh=mesh, in_specs=specs, out_specs=_SPLIT, check_vma=False)(generator, z, c, psi)


@partial(jax.jit, static_argnums=0)
def _synthesize(mesh, generator, ws, transform):
    moved = _SPLIT if transform is not None and transform.ndim == 3 else _WHOLE
    one = lambda generator, ws, transform: generator.synthesis(ws, transform)  # noqa: E731
    specs = (_WHOLE, _SPLIT, moved)
    return jax.shard_map(one, mesh=mesh, in_specs=specs, out_specs=_SPLIT, check_vma=False)(generator, ws, transform)
