"""How one batch is cut into units that are computed one after the other, and spread over devices.

A unit is a whole number of minibatch-standard-deviation groups. Sample n of the batch belongs to group n mod (N / G)
(`networks.discriminator.minibatch_stddev`), so a unit's samples are strided over the batch, and inside the unit the same
rule finds the same groups again. What else couples the samples of a batch (style normalisation, running means) is taken
over all of it: see `training.parts`.

Two ways to add up what the units give:
* plain: each device adds its own units, then one `psum`. Equal to the whole batch in one go up to rounding.
* ordered: a unit is exactly one group, whatever the devices; each is computed by the same program of a single device, and
  the gradients are added in the units' order. Bits do not depend on the number of devices and processes: see `training.ordered`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sg3x.training.errors import TrainingError

AXIS = "data"
Tree = TypeVar("Tree")
Array = TypeVar("Array", np.ndarray, jax.Array)


@dataclass(frozen=True)
class Layout:
    """N samples as `units` units of `unit` samples over `devices` devices."""

    batch_size: int
    group: int  # samples of a minibatch-standard-deviation group
    devices: int
    unit: int
    ordered: bool

    @property
    def units(self) -> int:
        return self.batch_size // self.unit

    @property
    def per_device(self) -> int:
        """Units a device computes."""
        return self.units // self.devices

    def arrange(self, x: Array) -> Array:
        """[N, ...] in the order of the batch -> [units, unit, ...], units in their order."""
        rest = x.shape[1:]
        units = x.reshape(self.group, self.units, self.unit // self.group, *rest).swapaxes(0, 1)
        return units.reshape(self.units, self.unit, *rest)

    def mine(self, x: jax.Array) -> jax.Array:
        """[N, ...] of the whole batch -> [per_device, unit, ...] of this device; inside `shard_map` only."""
        start = lax.axis_index(AXIS) * self.per_device
        return lax.dynamic_slice_in_dim(self.arrange(x), start, self.per_device)

    def gather(self, x: jax.Array) -> jax.Array:
        """[per_device, ...] of every device -> [units, ...], everywhere; inside `shard_map` only."""
        return lax.all_gather(x, AXIS, tiled=True)

    def samples(self, x: jax.Array) -> jax.Array:
        """[per_device, unit, ...] of every device -> [N, ...], unit after unit."""
        every = self.gather(x)
        return every.reshape(self.batch_size, *every.shape[2:])

    def in_batch_order(self, units: jax.Array) -> jax.Array:
        """[units, unit, ...] -> [N, ...] in the order of the batch: undoes `arrange`."""
        rest = units.shape[2:]
        groups = units.reshape(self.units, self.group, self.unit // self.group, *rest).swapaxes(0, 1)
        return groups.reshape(self.batch_size, *rest)

    def cut(self, batch: Tree) -> list[Tree]:
        """Each unit's share [unit, ...] of leaves [N, ...] in the order of the batch."""
        arranged = jax.tree.map(self.arrange, batch)
        return [jax.tree.map(lambda x: x[i], arranged) for i in range(self.units)]  # noqa: B023

    def mean(self, stacked: Tree) -> Tree:
        """Mean over all units of [per_device, ...] leaves, added in the units' order."""
        return jax.tree.map(lambda x: _in_order(self.gather(x)) / self.units, stacked)

    def map_units(self, function: Callable[..., Tree], trips: jax.Array, *units: Any) -> Tree:
        """function(*unit) for each unit of this device: [per_device, ...] leaves from [per_device, ...] leaves.

        `trips` is `per_device`, as a value the compiler does not know: a loop of one round would be taken apart and
        fused with what is around it, and round otherwise than a longer one.
        """
        return self._loop(lambda *unit: ((), function(*unit)), trips, units)[1]

    def mean_gradients(
        self, function: Callable[..., tuple[Any, Tree]], trips: jax.Array, *units: Any
    ) -> tuple[Any, Tree]:
        """function(*unit) -> (gradients, more): the gradients' mean over all units, and `more` as by `map_units`."""
        total, more = self._loop(function, trips, units)
        return jax.tree.map(lambda g: lax.psum(g, AXIS) / self.units, total), more

    def _loop(self, function: Callable[..., tuple[Any, Tree]], trips: jax.Array, units: Any) -> tuple[Any, Tree]:
        """function(*unit) -> (what is added up, what is stacked), for each unit of this device."""
        # An axis of length 1 would be simplified away too: then there is a second, unused place.
        places = max(self.per_device, 2)
        if places > self.per_device:
            units = jax.tree.map(lambda x: jnp.concatenate([x, x]), units)
        added, stacked = jax.eval_shape(function, *jax.tree.map(lambda x: x[0], units))
        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), added)
        empty = jax.tree.map(lambda s: jnp.zeros((places, *s.shape), s.dtype), stacked)

        def body(i: jax.Array, done: tuple[Any, Tree]) -> tuple[Any, Tree]:
            found = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, i, 0, keepdims=False), units)
            add, one = function(*lax.optimization_barrier(found))
            place = jax.tree.map(lambda all, new: lax.dynamic_update_index_in_dim(all, new, i, 0), done[1], one)
            return jax.tree.map(jnp.add, done[0], add), place

        total, places_filled = lax.fori_loop(0, trips, body, (zero, empty))
        return total, jax.tree.map(lambda x: x[: self.per_device], places_filled)


def _in_order(x: jax.Array) -> jax.Array:
    return reduce(jnp.add, [x[i] for i in range(x.shape[0])])


def spread(x: jax.Array) -> jax.Array:
    """x[N, ...], split along its first axis over the devices of the mesh in force (`jax.set_mesh`), if there is one.

    What is drawn inside a program belongs to no device until something says so: without this the compiler would let every
    device compute the generator's pictures for the whole batch. Inside `shard_map` each device has its own part already.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.manual_axes or mesh.size == 1:
        return x
    return lax.with_sharding_constraint(x, jax.sharding.PartitionSpec(AXIS))


def choose_layout(
    batch_size: int, group_size: int, devices: int, batch_per_device: int | None, deterministic: bool
) -> Layout | None:
    """The layout that params.yaml asks for; None: the whole batch in one go, spread by the compiler.

    Raises:
        TrainingError: the batch does not divide so; the message names the parameters.
    """
    group = min(group_size, batch_size)
    if deterministic:
        if batch_per_device is not None:
            raise TrainingError(
                f"batch_per_device={batch_per_device} has no meaning with deterministic: true, which computes {group} pictures "
                "(discriminator.mbstd_group_size) at a time already; set batch_per_device: null"
            )
        return Layout(batch_size, group, 1, group, ordered=True)  # which device computes which unit decides no bit
    if batch_size % devices:
        raise TrainingError(
            f"batch_size={batch_size} does not divide over {devices} devices: make it a multiple, "
            "or hide devices (CUDA_VISIBLE_DEVICES, JAX_NUM_CPU_DEVICES)"
        )
    if batch_per_device is None or batch_per_device * devices >= batch_size:
        return None  # a device's share is no more than may be computed at once
    if batch_per_device % group:
        raise TrainingError(
            f"batch_per_device={batch_per_device} must be a multiple of discriminator.mbstd_group_size={group}: the "
            "minibatch standard deviation needs whole groups"
        )
    if batch_size % (batch_per_device * devices):
        raise TrainingError(
            f"batch_size={batch_size} is not a multiple of batch_per_device={batch_per_device} times {devices} devices; "
            f"allowed are {_allowed(batch_size, group, devices)}, or null"
        )
    return Layout(batch_size, group, devices, batch_per_device, ordered=False)


def _allowed(batch_size: int, group: int, devices: int) -> str:
    share = batch_size // devices
    return ", ".join(str(b) for b in allowed_parts(share, group)) or f"none below {share}"


def allowed_parts(share: int, group: int) -> list[int]:
    """What batch_per_device may be when a device's share of the batch is `share`, smallest first."""
    return [b for b in range(group, share + 1, group) if share % b == 0]
