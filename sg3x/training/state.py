"""The train state: one pytree with everything that influences the next step, and what it is made from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from sg3x.networks.discriminator import LOGIT_BIAS, Discriminator, DiscriminatorConfig, frozen_names
from sg3x.networks.generator import Generator
from sg3x.networks.naming import flat
from sg3x.networks.schedule import GeneratorConfig
from sg3x.networks.variables import Buffer
from sg3x.training.ada import init_ada
from sg3x.training.config import TrainConfig as TrainConfig  # state and configuration are taken together
from sg3x.training.losses import lazy_adam_options

# name -> array or nested dict; a plain pytree of dicts, so that it can be saved and compared by name.
State = dict[str, Any]

# What the statistics since the last line of the history are sums of.
STATISTICS = ("loss_g", "loss_d", "real_sign", "fake_sign", "grad_norm_g", "grad_norm_d")
R1_STATISTICS = ("r1_penalty", "grad_norm_r1")

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


def purpose_key(seed: int, purpose: str, image_counter: jax.Array | int = 0) -> jax.Array:
    """The random key for one purpose at one image counter."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), PURPOSE[purpose]), image_counter)


def generator_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Adam without momentum; the generator of StyleGAN3 has no regularisation phase."""
    return optax.adam(config.g_lr, b1=config.betas[0], b2=config.betas[1], eps=1e-8)


def discriminator_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Adam corrected for lazy R1; main and R1 steps share it."""
    lr, (b1, b2) = lazy_adam_options(config.d_lr, config.betas, config.r1_interval)
    return optax.adam(lr, b1=b1, b2=b2, eps=1e-8)


def split_logit_bias(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """D's last bias has no gradient in the R1 phase, so Adam skips it there: it gets a state of its own."""
    return {"rest": {k: v for k, v in tree.items() if k != LOGIT_BIAS}, "logit_bias": {LOGIT_BIAS: tree[LOGIT_BIAS]}}


def frozen_in_d(config: TrainConfig) -> frozenset[str]:
    """Names of D's weights that are not trained."""
    return frozen_names(config.discriminator, config.freeze_d)


def adam_state(params: dict[str, jax.Array]) -> dict[str, Any]:
    """Zero moments and step count, by name. Does not depend on learning rate or betas."""
    moments = {moment: {name: jnp.zeros_like(p) for name, p in params.items()} for moment in ("mu", "nu")}
    return {"count": jnp.zeros((), jnp.int32), **moments}


def adam_step(
    optimizer: optax.GradientTransformation, params: dict[str, jax.Array], grads: dict[str, jax.Array], state: State
) -> tuple[dict[str, jax.Array], State]:
    """One update with optax's Adam, its state kept as plain dicts."""
    full = (optax.ScaleByAdamState(state["count"], state["mu"], state["nu"]), optax.EmptyState())
    updates, (moments, *_) = optimizer.update(grads, full, params)
    new = {"count": moments.count, "mu": moments.mu, "nu": moments.nu}
    return optax.apply_updates(params, updates), new


def zero_statistics() -> dict[str, np.ndarray]:
    """Sums since the last line of the history, all zero, on the host."""
    sums = {name: np.zeros((), np.float32) for name in (*STATISTICS, *R1_STATISTICS, "steps", "r1_steps")}
    # The step (from 1) at which a term was not finite for the first time, and which: 0 while all is well.
    return {**sums, "trouble_step": np.zeros((), np.int32), "trouble_term": np.zeros((), np.int32)}


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
