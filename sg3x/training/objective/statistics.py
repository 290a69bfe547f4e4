"""What a step measures: sums since the last line of the history, and the first term that was not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.training.problems import TERMS

if TYPE_CHECKING:
    from sg3x.networks.naming import Params
    from sg3x.training.state import State

STATISTICS = ("loss_g", "loss_d", "real_sign", "fake_sign", "grad_norm_g", "grad_norm_d")
R1_STATISTICS = ("r1_penalty", "grad_norm_r1")


def zero_statistics() -> dict[str, np.ndarray]:
    """All sums zero, on the host."""
    sums = {name: np.zeros((), np.float32) for name in (*STATISTICS, *R1_STATISTICS, "steps", "r1_steps")}
    # The step (from 1) at which a term was not finite for the first time, and which: 0 while all is well.
    return {**sums, "trouble_step": np.zeros((), np.int32), "trouble_term": np.zeros((), np.int32)}


def norm(grads: Params) -> jax.Array:
    """Euclidean norm of all gradients together."""
    return jnp.sqrt(sum((jnp.sum(jnp.square(g)) for g in grads.values()), jnp.float32(0)))


def add_statistics(state: State, **measured: jax.Array) -> State:
    """The state with these values added to their sums."""
    totals = {
        name: total + measured[name] if name in measured else total for name, total in state["statistics"].items()
    }
    for number, name in enumerate(TERMS):
        if name in measured:
            first = (totals["trouble_step"] == 0) & ~jnp.isfinite(measured[name])
            totals["trouble_step"] = jnp.where(first, state["step"] + 1, totals["trouble_step"])
            totals["trouble_term"] = jnp.where(first, number, totals["trouble_term"])
    return {**state, "statistics": totals}
