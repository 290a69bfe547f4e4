"""The average of G's weights, which samples are drawn with: an exponential moving average that ramps up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from sg3x.training.state import State, TrainConfig


def ema_beta(image_counter: jax.Array | int, batch_size: int, ema_kimg: float, ema_rampup: float | None) -> jax.Array:
    """Decay of one step, 0.5^(batch_size / min(1000 ema_kimg, ema_rampup * images seen)). The first step copies.

    The counter is the one before this batch.
    """
    images = jnp.float32(ema_kimg * 1000)
    if ema_rampup is not None:
        images = jnp.minimum(images, jnp.asarray(image_counter).astype(jnp.float32) * jnp.float32(ema_rampup))
    return jnp.float32(0.5) ** (jnp.float32(batch_size) / jnp.maximum(images, jnp.float32(1e-8)))


def move_average(config: TrainConfig, state: State) -> State:
    """average <- g + beta (average - g). Buffers are the training ones, never averaged."""
    if config.ema_decay is not None:
        beta = jnp.float32(config.ema_decay)
    else:
        assert config.ema_kimg is not None
        beta = ema_beta(state["nimg"], config.batch_size, config.ema_kimg, config.ema_rampup)
    averaged = {name: p + beta * (state["g_ema"][name] - p) for name, p in state["g"].items()}
    return {**state, "g_ema": averaged}
