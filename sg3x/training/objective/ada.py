"""Adaptive discriminator augmentation: p follows how sure D is of the real images. Reference: ADA, section 3.

The indicator is the mean sign of D's logits of real images (r_t in the paper): 0 when D cannot tell, 1 when it has
learned the training set by heart. Above the target p rises, below it falls, by a fixed step per adjustment. The state
is a small pytree of float32 scalars, part of the train state.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

AdaState = dict[str, jax.Array]


def init_ada(p: float = 0.0) -> AdaState:
    """The state before training: strength p, nothing reported. Raises ValueError for a negative p."""
    if not p >= 0:
        raise ValueError(f"the augmentation strength p must be at least 0, got {p!r}")
    return {"p": jnp.float32(p), "mean_sign": jnp.float32(0), "sign_sum": jnp.float32(0), "sign_count": jnp.float32(0)}


def report_signs(ada: AdaState, real_logits: jax.Array) -> AdaState:
    """The state with D's logits of real images (any shape) counted in; the R1 phase reports its logits too."""
    signs = jnp.sign(real_logits.astype(jnp.float32))
    return {
        **ada,
        "sign_sum": ada["sign_sum"] + jnp.sum(signs),
        "sign_count": ada["sign_count"] + jnp.float32(signs.size),
    }


def adjust_ada(
    ada: AdaState, step: jax.Array | int, target: float, batch_size: int, interval: int, ada_kimg: float
) -> AdaState:
    """After step number `step` (from 1, may be traced): every `interval` steps p is adjusted, counting starts anew."""
    mean = mean_sign(ada)
    p = ada_update(ada["p"], mean, target, batch_size, interval, ada_kimg)
    zero = jnp.zeros_like(mean)
    adjusted = {"p": p, "mean_sign": mean, "sign_sum": zero, "sign_count": zero}
    due = jnp.asarray(step) % interval == 0
    return {name: jnp.where(due, new, ada[name]) for name, new in adjusted.items()}


def mean_sign(ada: AdaState) -> jax.Array:
    """Mean sign of what was reported since the last adjustment, or the previous mean if nothing was; float32 scalar."""
    counted = ada["sign_sum"] / jnp.maximum(ada["sign_count"], 1)
    return jnp.where(ada["sign_count"] > 0, counted, ada["mean_sign"])


def ada_update(
    p: jax.Array | float, mean_sign: jax.Array | float, target: float, batch_size: int, interval: int, ada_kimg: float
) -> jax.Array:
    """p <- max(p + sign(mean_sign - target) * batch_size * interval / (1000 * ada_kimg), 0): a float32 scalar.

    ada_kimg is in thousands of images: the time p takes from 0 to 1. There is no upper limit. The tests below are on
    settings, not on traced values: raises ValueError for a target outside [-1, 1] and for others that are not positive.
    """
    if not -1 <= target <= 1:
        raise ValueError(f"ada_target={target!r} is a mean of signs and must be from -1 to 1")
    for name, value in {"batch_size": batch_size, "ada_interval": interval, "ada_kimg": ada_kimg}.items():
        if not value > 0:
            raise ValueError(f"{name}={value!r} must be positive")
    move = jnp.sign(jnp.asarray(mean_sign, jnp.float32) - jnp.float32(target))
    step = jnp.float32(batch_size * interval / (ada_kimg * 1000))
    return jnp.maximum(jnp.asarray(p, jnp.float32) + move * step, 0)
