"""Transfer learning: training starts from another model's networks, with fresh optimisers and counters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from sg3x.files.fingerprint import hash_tree
from sg3x.networks import Buffer, DiscriminatorConfig, GeneratorConfig, flat
from sg3x.networks.naming import differences, refuse
from sg3x.networks.store import CONFIG, load_networks
from sg3x.training.run.checkpoints import CheckpointError, check_config, load_checkpoint, network_configs
from sg3x.training.state import State, init_state

# What is taken over. Everything else (optimisers, ADA's p, counters, statistics) begins anew, as NVIDIA's --resume does.
PARTS = ("g", "g_buffers", "g_ema", "d")


def start_from(
    path: str | Path, generator: GeneratorConfig, discriminator: DiscriminatorConfig, seed: int
) -> tuple[State, dict[str, Any]]:
    """The state at image 0 with the weights of the model at `path`, and where they came from, for meta.json.

    Args:
        path: a directory that `sg3x import-nvidia` wrote, or a training checkpoint.

    Raises:
        CheckpointError: (a ValueError) nothing there, no discriminator in it, or networks of other shapes: every key
            that differs is listed.
    """
    path = Path(path)
    ours = {"generator": generator.to_dict(), "discriminator": discriminator.to_dict()}
    if (path / "manifest.json").exists():
        saved, meta, _ = load_checkpoint(path)
        networks = network_configs(path, meta)
        theirs = {"generator": networks[0].to_dict(), "discriminator": networks[1].to_dict()}
        found = {part: saved[part] for part in PARTS}
    elif (path / CONFIG).exists():
        theirs, found = _from_directory(path)
    else:
        raise CheckpointError(
            f"init.from={str(path)!r} is neither a directory of sg3x import-nvidia nor a checkpoint"
            + (": run sg3x import-nvidia on it first" if path.suffix == ".pkl" else "")
        )
    _check_unconditional(path, theirs)
    check_config(path, theirs, ours)
    for name, network in ours.items():
        if theirs[name].get("conv_clamp") != network["conv_clamp"]:
            print(
                f"note: {path} has {name}.conv_clamp {theirs[name].get('conv_clamp')}, training goes on with "
                f"{network['conv_clamp']}",
                flush=True,
            )
    state = init_state(generator, discriminator, seed)
    # Configurations agree; that the arrays follow from them is another matter.
    differing = [f"{part}: {line}" for part in PARTS for line in differences(found[part], state[part])]
    refuse(differing, f"the arrays of {path} do not fit its configuration", CheckpointError)
    for part in PARTS:
        state[part] = {name: jnp.asarray(np.asarray(found[part][name]), jnp.float32) for name in state[part]}
    return state, {"from": path.name, "sha256": hash_tree(path)}


def _check_unconditional(path: Path, theirs: dict[str, Any]) -> None:
    classes = max(network.get("c_dim", 0) for network in theirs.values())
    if classes:
        raise CheckpointError(
            f"init.from={str(path)!r} is a conditional model ({classes} classes, c_dim={classes}); training is "
            "unconditional: give an unconditional one, or stages/init.py for random weights"
        )


def _from_directory(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    stored = load_networks(path)
    training, discriminator = stored.training_generator, stored.discriminator
    if training is None or discriminator is None:
        raise CheckpointError(
            f"init.from={str(path)!r} holds a generator to draw with and no discriminator, which training needs too: "
            "give a checkpoint, or what sg3x import-nvidia wrote from a snapshot"
        )
    theirs = {"generator": training.config.to_dict(), "discriminator": discriminator.config.to_dict()}
    found = {"g": flat(training, nnx.Param), "g_buffers": flat(training, Buffer), "d": flat(discriminator, nnx.Param)}
    return theirs, {**found, "g_ema": flat(stored.generator, nnx.Param)}
