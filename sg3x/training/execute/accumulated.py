"""Gradient accumulation: each device goes through its microbatches in a loop, then all add up.

The phases run inside `jax.shard_map`: what is computed `once` every device computes, in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sg3x.training.execute.microbatches import Microbatches
from sg3x.training.execute.verbs import PerMicrobatch
from sg3x.training.execute.whole import AXIS
from sg3x.training.state import TrainConfig


class Accumulated:
    """`Verbs` inside of `jax.shard_map` over AXIS. PerMicrobatch are leaves [per_device, ...] of this device.

    `trips` equals `per_device`, passed at run time on purpose. If XLA knew that it is 1, it would unroll the loop, fuse its
    body with the surroundings and round differently.
    """

    in_parts = True

    def __init__(self, config: TrainConfig, microbatches: Microbatches, trips: jax.Array) -> None:
        self.config, self.microbatches, self.trips = config, microbatches, trips

    def split(self, *samples: Any) -> list[PerMicrobatch]:
        per_device = self.microbatches.per_device
        start = lax.axis_index(AXIS) * per_device

        def mine(x: jax.Array) -> jax.Array:
            return lax.dynamic_slice_in_dim(self.microbatches.arrange(x), start, per_device)

        return [PerMicrobatch(jax.tree.map(mine, tree)) for tree in samples]

    def once(self, function: Callable[..., Any], *values: Any, consume: bool = False, **static: Any) -> Any:
        def stacked(value: Any) -> Any:
            gather = lambda x: lax.all_gather(x, AXIS, tiled=True)  # noqa: E731
            return jax.tree.map(gather, value.value) if isinstance(value, PerMicrobatch) else value

        return function(self.config, *map(stacked, values), **static)

    def each(
        self, function: Callable[..., Any], shared: tuple[Any, ...], own: tuple[PerMicrobatch, ...], **static: Any
    ) -> Any:
        def one(found: list[Any]) -> tuple[Any, list[Any]]:
            grads, *more = function(self.config, *shared, *found, **static)
            return grads, more

        total, more = self._loop(one, [handle.value for handle in own])
        mean = jax.tree.map(lambda g: lax.psum(g, AXIS) / self.microbatches.count, total)
        return mean, *map(PerMicrobatch, more)

    def _loop(self, function: Callable[[Any], tuple[Any, Any]], own: Any) -> tuple[Any, Any]:
        """function(microbatch) -> (what is added up, what is stacked), for each microbatch of this device."""
        # An axis of length 1 would be simplified away like a loop of one trip: then there is a second, unused slot.
        slots = max(self.microbatches.per_device, 2)
        if slots > self.microbatches.per_device:
            own = jax.tree.map(lambda x: jnp.concatenate([x, x]), own)
        added, stacked = jax.eval_shape(function, jax.tree.map(lambda x: x[0], own))
        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), added)
        empty = jax.tree.map(lambda s: jnp.zeros((slots, *s.shape), s.dtype), stacked)

        def body(i: jax.Array, done: tuple[Any, Any]) -> tuple[Any, Any]:
            found = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, i, 0, keepdims=False), own)
            add, one = function(lax.optimization_barrier(found))
            filled = jax.tree.map(lambda all, new: lax.dynamic_update_index_in_dim(all, new, i, 0), done[1], one)
            return jax.tree.map(jnp.add, done[0], add), filled

        total, filled = lax.fori_loop(0, self.trips, body, (zero, empty))
        return total, jax.tree.map(lambda x: x[: self.microbatches.per_device], filled)
