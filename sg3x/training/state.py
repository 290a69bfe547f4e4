"""The train state: one pytree with everything that influences the next step, and what it is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from sg3x.networks.discriminator import Discriminator, DiscriminatorConfig
from sg3x.networks.generator import Generator
from sg3x.networks.naming import flat
from sg3x.networks.schedule import GeneratorConfig
from sg3x.networks.variables import Buffer
from sg3x.training.augment import AugmentConfig
from sg3x.training.objective.ada import init_ada
from sg3x.training.objective.optimizers import adam_state, split_logit_bias
from sg3x.training.objective.statistics import zero_statistics

# name -> array or nested dict; a plain pytree of dicts, so that it can be saved and compared by name.
State = dict[str, Any]

# Randomness is a function of (seed, purpose, image counter). Numbers are part of the format: never renumber.
PURPOSE = {
    "init_g": 0,
    "init_d": 1,
    "z_g": 2,
    "z_d": 3,
    "augment_g": 4,
    "augment_fake": 5,
    "augment_real": 6,
    "augment_r1": 7,
}


@dataclass(frozen=True)
class TrainConfig:
    """What a training step depends on beside the state."""

    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    batch_size: int
    r1_gamma: float
    seed: int = 0
    g_lr: float = 0.0025
    d_lr: float = 0.002
    betas: tuple[float, float] = (0.0, 0.99)
    r1_interval: int = 16  # one R1 step every so many steps
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    ada_target: float = 0.6
    ada_kimg: float = 500.0
    ada_interval: int = 4
    ema_kimg: float | None = 10.0
    ema_rampup: float | None = 0.05
    ema_decay: float | None = None  # constant decay per step, instead of ema_kimg
    blur_init_sigma: float = 0.0
    blur_fade_kimg: float = 0.0
    freeze_d: int = 0  # first layers of D that are not trained
    remat: str = "none"  # "layers": compute every layer again in the backward pass instead of keeping what is inside

    @property
    def recomputes(self) -> bool:
        return self.remat == "layers"

    @property
    def group_size(self) -> int:
        """Samples of a minibatch-standard-deviation group."""
        return min(self.discriminator.mbstd_group_size or self.batch_size, self.batch_size)


def purpose_key(seed: int, purpose: str, image_counter: jax.Array | int = 0) -> jax.Array:
    """The random key for one purpose at one image counter."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), PURPOSE[purpose]), image_counter)


def init_state(generator: GeneratorConfig, discriminator: DiscriminatorConfig, seed: int) -> State:
    """Everything at image 0, from the random seed."""
    network = Generator(generator, key=purpose_key(seed, "init_g"))
    g = flat(network, nnx.Param)
    d = flat(Discriminator(discriminator, key=purpose_key(seed, "init_d")), nnx.Param)
    return {
        "g": g,
        "g_buffers": flat(network, Buffer),
        "g_ema": {name: jnp.array(p) for name, p in g.items()},
        "d": d,
        "g_opt": adam_state(g),
        "d_opt": {part: adam_state(params) for part, params in split_logit_bias(d).items()},
        "ada": init_ada(),
        "statistics": zero_statistics(),
        "step": jnp.zeros((), jnp.int32),
        "nimg": jnp.zeros((), jnp.int32),
    }
