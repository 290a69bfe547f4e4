"""The averaged generator inside a checkpoint: what samples, scores and exports are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp

from sg3x.networks.model import Generator
from sg3x.training.checkpoints import History, load_checkpoint, network_configs


def load_averaged(path: Path) -> tuple[Generator, dict[str, Any], History]:
    """Generator with averaged weights and the training run's buffers, the checkpoint's meta and history."""
    state, meta, history = load_checkpoint(path)
    params = {name: jnp.asarray(x) for name, x in state["g_ema"].items()}
    buffers = {name: jnp.asarray(x) for name, x in state["g_buffers"].items()}
    return Generator(network_configs(path, meta)[0], params, buffers), meta, history
