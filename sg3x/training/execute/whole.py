"""The whole batch in one go: a phase is one program, which the compiler spreads over the devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from sg3x.training.execute.verbs import PerMicrobatch
from sg3x.training.state import TrainConfig

AXIS = "data"


class Whole:
    """`Verbs` of a batch that is its own and only microbatch: everything is a plain call, inside or outside of `jax.jit`."""

    in_parts = False

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def split(self, *samples: Any) -> list[PerMicrobatch]:
        return [PerMicrobatch(jax.tree.map(shard_batch, tree)) for tree in samples]

    def once(self, function: Callable[..., Any], *values: Any, consume: bool = False, **static: Any) -> Any:
        return function(self.config, *(_stacked(value) for value in values), **static)

    def each(
        self, function: Callable[..., Any], shared: tuple[Any, ...], own: tuple[PerMicrobatch, ...], **static: Any
    ) -> Any:
        grads, *more = function(self.config, *shared, *(one.value for one in own), **static)
        return grads, *map(PerMicrobatch, more)


def _stacked(value: Any) -> Any:
    return jax.tree.map(lambda x: x[None], value.value) if isinstance(value, PerMicrobatch) else value


def shard_batch(x: jax.Array) -> jax.Array:
    """x[N, ...], split along its first axis over the devices of the mesh in force (`jax.set_mesh`), if there is one.

    What is drawn inside a program belongs to no device until something says so: without this the compiler would let every
    device compute the generator's pictures for the whole batch.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return x
    return jax.lax.with_sharding_constraint(x, jax.sharding.PartitionSpec(AXIS))
