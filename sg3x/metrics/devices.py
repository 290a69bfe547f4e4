"""Batches of pictures over this process's devices."""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def split_over_devices(batch: int) -> NamedSharding:
    """Along the first axis over as many local devices as divide `batch`."""
    devices = jax.local_devices()
    count = next(n for n in range(len(devices), 0, -1) if batch % n == 0)
    return NamedSharding(Mesh(np.array(devices[:count]), ("data",)), PartitionSpec("data"))
