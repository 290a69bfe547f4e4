"""The verbs that phases of a step are written in: all they know of how they are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax

from sg3x.training.state import TrainConfig


@dataclass(frozen=True)
class PerMicrobatch:
    """Something of each microbatch, as an executor keeps it."""

    value: Any


class Verbs(Protocol):
    """Computes functions of (config, values...), each a pure function of arrays at a module's top level."""

    config: TrainConfig
    # Whether a microbatch is less than the batch: then it has to be told what the batch's mean is.
    in_parts: bool

    def split(self, *samples: Any) -> list[PerMicrobatch]:
        """Trees of arrays [N, ...] in the batch's order, cut into microbatches [n, ...]."""

    def once(self, function: Callable[..., Any], *values: Any, consume: bool = False, **static: Any) -> Any:
        """function(config, *values, **static), of the whole batch.

        What is PerMicrobatch arrives stacked, [microbatches, ...]. `consume`: the first value is not used any more.
        """

    def each(
        self, function: Callable[..., Any], shared: tuple[Any, ...], own: tuple[PerMicrobatch, ...], **static: Any
    ) -> Any:
        """function(config, *shared, *own, **static) -> (gradients, *more) of each microbatch.

        Gives (the gradients' mean over the microbatches, *more), where each of `more` is PerMicrobatch.
        """


def in_batch_order(stacked: jax.Array, group: int) -> jax.Array:
    """[microbatches, n, ...] -> [N, ...] in the order of the batch: undoes a split by groups of `group` samples."""
    count, n, *rest = stacked.shape
    if count == 1:
        return stacked[0]
    groups = stacked.reshape(count, group, n // group, *rest).swapaxes(0, 1)
    return groups.reshape(count * n, *rest)
