"""One set of networks that train in seconds, for every test that needs some: each other shape is compiled anew."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from sg3x.networks.discriminator import DiscriminatorConfig
from sg3x.networks.schedule import GeneratorConfig
from sg3x.training.augment import AugmentConfig
from sg3x.training.execute.compiled import data_mesh, replicate
from sg3x.training.execute.microbatches import choose_microbatches
from sg3x.training.execute.step import compile_step
from sg3x.training.state import State, TrainConfig, init_state

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4, mbstd_group_size=2)
# All that may go wrong between microbatches: draws of every kind, quickly compiled; blur; R1 and ADA in many steps.
CONFIG = TrainConfig(
    G, D, batch_size=8, r1_gamma=1.0, r1_interval=2, augment=AugmentConfig(brightness=1, noise=1), ada_interval=1,
    ada_kimg=0.1, blur_init_sigma=1.0, blur_fade_kimg=1.0,
)  # fmt: skip


def pictures(count: int, steps: int = 1) -> np.ndarray:
    """uint8[steps, count, 16, 16, 3]."""
    return np.random.RandomState(0).randint(0, 256, (steps, count, 16, 16, 3), np.uint8)


def start(config: TrainConfig = CONFIG) -> State:
    """A state at which something is augmented already: at p = 0 nothing could be got wrong."""
    state: State = jax.device_get(init_state(config.generator, config.discriminator, 0))
    return {**state, "ada": {**state["ada"], "p": np.float32(0.5)}}


def train(
    config: TrainConfig = CONFIG, devices: int = 1, batch_per_device: int | None = None, deterministic: bool = False,
    steps: int = 3,
) -> State:  # fmt: skip
    """The state after some steps by one of the three executors; with three, the first and the third have an R1 phase."""
    state = start(config)
    microbatches = choose_microbatches(config.batch_size, config.group_size, devices, batch_per_device, deterministic)
    step = compile_step(config, data_mesh(devices), state, microbatches)
    state = replicate(state, step.state_sharding)
    with jax.transfer_guard("disallow"):
        for number, batch in enumerate(pictures(config.batch_size, steps)):
            state = step(state, step.put_batch(microbatches.arrange(batch)[step.local_index()]), number)
    return jax.device_get(state)


def largest_difference(mine: Any, theirs: Any) -> float:
    """Relative to each array's largest value. Adam's moments show the gradients; its steps would amplify a flipped sign."""
    worst = 0.0
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        scale = max(np.abs(b).max(initial=0), 1e-3)
        worst = max(worst, np.abs(a - b).max(initial=0) / scale)
    return worst
