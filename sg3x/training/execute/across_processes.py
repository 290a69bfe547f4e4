"""Results of one program in several processes, brought to all of them without changing a bit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding


class Gathering:
    """Trees of float32 arrays, `each` from every process, on to the first device of every process.

    Args:
        shapes: of one tree.
        firsts: the first device of each process, in the processes' order.
        each: how many trees a process gives at a time; a missing one counts as zeros.
    """

    def __init__(self, shapes: Any, firsts: list[jax.Device], each: int) -> None:
        own = SingleDeviceSharding(firsts[jax.process_index()])
        mesh = Mesh(np.array(firsts), ("process",))
        self.split = NamedSharding(mesh, PartitionSpec("process"))
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
        assert all(x.dtype == np.float32 for x in jax.tree.leaves(shapes))
        flat, restore = ravel_pytree(zeros)
        self.shape = (len(firsts), each, flat.size)
        with jax.transfer_guard("allow"):
            self.missing = jax.device_put(zeros, own)

        def join(trees: list[Any]) -> jax.Array:
            return jnp.stack([ravel_pytree(tree)[0] for tree in trees])[None]

        def part(every: jax.Array) -> list[Any]:
            rows = every.reshape(-1, flat.size)
            return [restore(rows[i]) for i in range(rows.shape[0])]

        placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=own), zeros)
        self.join = jax.jit(join).lower([placed] * each).compile()
        self.part = jax.jit(part).lower(jax.ShapeDtypeStruct(self.shape, np.float32, sharding=own)).compile()
        everywhere = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self.exchange = everywhere.lower(jax.ShapeDtypeStruct(self.shape, np.float32, sharding=self.split)).compile()

    def __call__(self, own: dict[int, Any]) -> list[Any]:
        """Number of a tree in this process -> tree, as many as there are; the trees of all processes, in their order."""
        joined = self.join([own.get(i, self.missing) for i in range(self.shape[1])])
        every = jax.make_array_from_single_device_arrays(self.shape, self.split, [joined])
        return self.part(self.exchange(every).addressable_data(0))
