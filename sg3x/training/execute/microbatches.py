"""How one batch is cut into microbatches, and who computes them.

A microbatch is a whole number of minibatch-standard-deviation groups. Sample n of the batch belongs to group n mod (N / G)
(`networks.discriminator.minibatch_stddev`), so a microbatch's samples are strided over the batch, and inside it the same
rule finds the same groups again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import jax
import numpy as np

from sg3x.training.problems import TrainingError

Array = TypeVar("Array", np.ndarray, jax.Array)


@dataclass(frozen=True)
class Microbatches:
    """N samples as `count` microbatches of `size`, over devices.

    `executor`: the whole batch at once; microbatches accumulated, equal to it up to rounding; or in an order that no device
    decides (params: `deterministic`), of which the bits do not depend on the number of devices and processes.
    """

    batch_size: int
    group: int  # samples of a minibatch-standard-deviation group
    devices: int
    size: int
    executor: Literal["whole", "accumulated", "ordered"]

    @property
    def count(self) -> int:
        return self.batch_size // self.size

    @property
    def per_device(self) -> int:
        """Microbatches that a device computes, when each computes as many."""
        return self.count // self.devices

    def arrange(self, x: Array) -> Array:
        """[N, ...] in the order of the batch -> [count, size, ...]. The whole batch stays as it is."""
        if self.executor == "whole":
            return x
        rest = x.shape[1:]
        groups = x.reshape(self.group, self.count, self.size // self.group, *rest).swapaxes(0, 1)
        return groups.reshape(self.count, self.size, *rest)


def choose_microbatches(
    batch_size: int, group_size: int, devices: int, batch_per_device: int | None, deterministic: bool
) -> Microbatches:
    """What params.yaml asks for.

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
        return Microbatches(batch_size, group, 1, group, "ordered")  # which device computes which decides no bit
    if batch_size % devices:
        raise TrainingError(
            f"batch_size={batch_size} does not divide over {devices} devices: make it a multiple, "
            "or hide devices (CUDA_VISIBLE_DEVICES, JAX_NUM_CPU_DEVICES)"
        )
    if batch_per_device is None or batch_per_device * devices >= batch_size:
        return Microbatches(batch_size, group, devices, batch_size, "whole")  # a device's share may be computed at once
    if batch_per_device % group:
        raise TrainingError(
            f"batch_per_device={batch_per_device} must be a multiple of discriminator.mbstd_group_size={group}: the "
            "minibatch standard deviation needs whole groups"
        )
    if batch_size % (batch_per_device * devices):
        share = batch_size // devices
        allowed = ", ".join(str(b) for b in allowed_sizes(share, group)) or f"none below {share}"
        raise TrainingError(
            f"batch_size={batch_size} is not a multiple of batch_per_device={batch_per_device} times {devices} devices; "
            f"allowed are {allowed}, or null"
        )
    return Microbatches(batch_size, group, devices, batch_per_device, "accumulated")


def allowed_sizes(share: int, group: int) -> list[int]:
    """What batch_per_device may be when a device's share of the batch is `share`, smallest first."""
    return [b for b in range(group, share + 1, group) if share % b == 0]
