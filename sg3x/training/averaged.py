"""The averaged generator inside a checkpoint: what samples, scores and exports are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.files.printable import printable
from sg3x.networks import DiscriminatorConfig, GeneratorConfig, init_discriminator, init_generator
from sg3x.networks.model import Discriminator, Generator
from sg3x.training.checkpoints import CheckpointError, History, load_checkpoint


def load_averaged(path: Path) -> tuple[Generator, dict[str, Any], History]:
    """Generator with averaged weights and the training run's buffers, the checkpoint's meta and history."""
    state, meta, history = load_checkpoint(path)
    config = stored_config(path, meta, "generator", GeneratorConfig)
    params, buffers = jax.eval_shape(lambda: init_generator(jax.random.key(0), config))
    values = _taken(path, state, "g_ema", params), _taken(path, state, "g_buffers", buffers)
    return Generator(config, *values), meta, history


def load_judge(path: Path) -> Discriminator:
    """The discriminator inside a checkpoint."""
    state, meta, _ = load_checkpoint(path)
    config = stored_config(path, meta, "discriminator", DiscriminatorConfig)
    params = jax.eval_shape(lambda: init_discriminator(jax.random.key(0), config))
    return Discriminator(config, _taken(path, state, "d", params))


def stored_config(path: Path, meta: dict[str, Any], network: str, kind: Any) -> Any:
    """A network's configuration in a checkpoint's meta.json.

    Raises:
        CheckpointError: it is missing, or no configuration; the message names file and key.
    """
    try:
        return kind.from_dict(meta.get(network))
    except ValueError as error:
        raise CheckpointError(f"{path}/meta.json: {network}: {error}") from None


def _taken(path: Path, state: Any, part: str, expected: dict[str, Any]) -> dict[str, jax.Array]:
    """Exactly the expected float32 arrays of one part of the state."""
    stored = state.get(part) if isinstance(state, dict) else None
    found = stored if isinstance(stored, dict) else {}
    wanted = {name: (tuple(x.shape), "float32") for name, x in expected.items()}
    there = {name: (tuple(np.shape(x)), str(np.asarray(x).dtype)) for name, x in found.items()}
    if there != wanted:
        names = sorted(n for n in there.keys() | wanted.keys() if there.get(n) != wanted.get(n))
        shown = printable(", ".join(names[:20]), 1000)
        raise CheckpointError(f"{path} does not fit its meta.json: state.{part}: {shown}")
    return {name: jnp.asarray(found[name]) for name in expected}
