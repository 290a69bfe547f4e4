"""Adam for both networks, its state kept as plain dicts by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax

from sg3x.networks.discriminator import LOGIT_BIAS, frozen_names

if TYPE_CHECKING:
    from sg3x.networks.naming import Params
    from sg3x.training.state import State, TrainConfig


def lazy_adam_options(lr: float, betas: tuple[float, float], interval: int | None) -> tuple[float, tuple[float, float]]:
    """Adam's learning rate and betas when one regularisation step joins every `interval` main ones.

    With r = interval / (interval + 1): r lr, beta^r (StyleGAN2, appendix B).
    """
    if interval is None:
        return lr, betas
    ratio = interval / (interval + 1)
    return lr * ratio, (betas[0] ** ratio, betas[1] ** ratio)


def generator_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Adam without momentum; the generator of StyleGAN3 has no regularisation phase."""
    return optax.adam(config.g_lr, b1=config.betas[0], b2=config.betas[1], eps=1e-8)


def discriminator_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Adam corrected for lazy R1; main and R1 steps share it."""
    lr, (b1, b2) = lazy_adam_options(config.d_lr, config.betas, config.r1_interval)
    return optax.adam(lr, b1=b1, b2=b2, eps=1e-8)


def adam_state(params: Params) -> dict[str, Any]:
    """Zero moments and step count, by name. Does not depend on learning rate or betas."""
    moments = {moment: {name: jnp.zeros_like(p) for name, p in params.items()} for moment in ("mu", "nu")}
    return {"count": jnp.zeros((), jnp.int32), **moments}


def adam_step(
    optimizer: optax.GradientTransformation, params: Params, grads: Params, state: State
) -> tuple[Params, State]:
    """One update with optax's Adam."""
    full = (optax.ScaleByAdamState(state["count"], state["mu"], state["nu"]), optax.EmptyState())
    updates, (moments, *_) = optimizer.update(grads, full, params)
    new = {"count": moments.count, "mu": moments.mu, "nu": moments.nu}
    return optax.apply_updates(params, updates), new


def split_logit_bias(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """D's arrays in two groups, each with an Adam state of its own.

    The last bias shifts all logits alike, so it vanishes from their gradient by the pictures: in R1 steps Adam skips it.
    """
    return {"rest": {k: v for k, v in tree.items() if k != LOGIT_BIAS}, "logit_bias": {LOGIT_BIAS: tree[LOGIT_BIAS]}}


def frozen_in_d(config: TrainConfig) -> frozenset[str]:
    """Names of D's weights that are not trained (Freeze-D)."""
    return frozen_names(config.discriminator, config.freeze_d)


def with_frozen_layers(config: TrainConfig, d: Params) -> Params:
    """D with its frozen layers taken for constants: nothing is computed for their gradients, which are zero."""
    names = frozen_in_d(config)
    return {name: jax.lax.stop_gradient(p) if name in names else p for name, p in d.items()}


def step_generator(config: TrainConfig, state: State, grads: Params) -> State:
    """An Adam step of G."""
    g, opt = adam_step(generator_optimizer(config), state["g"], grads, state["g_opt"])
    return {**state, "g": g, "g_opt": opt}


def step_discriminator(config: TrainConfig, state: State, grads: Params, r1: bool = False) -> State:
    """An Adam step of D; in an R1 step its last bias stays as it is, moments and count included. Frozen layers stay too."""
    optimizer = discriminator_optimizer(config)
    params, parts = split_logit_bias(state["d"]), split_logit_bias(grads)
    opt = dict(state["d_opt"])
    for group in ("rest",) if r1 else ("rest", "logit_bias"):
        params[group], opt[group] = adam_step(optimizer, params[group], parts[group], opt[group])
    d = {**params["rest"], **params["logit_bias"]}
    d |= {name: state["d"][name] for name in frozen_in_d(config) if name in d}
    return {**state, "d": {name: d[name] for name in state["d"]}, "d_opt": opt}
