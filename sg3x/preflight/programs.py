"""The programs of a run, compiled for a target's devices from shapes alone: nothing is computed, no weight is drawn."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.preflight.target import PreflightError, Target
from sg3x.training import step
from sg3x.training.layout import AXIS, choose_layout
from sg3x.training.ordered import make_programs
from sg3x.training.state import TrainConfig, init_state

WHAT = ("step", "generator")


def compile_programs(
    config: TrainConfig, target: Target, what: str = "step", batch_per_device: int | None = None,
    deterministic: bool = False,
) -> tuple[dict[str, Any], float]:  # fmt: skip
    """name -> compiled program, and the seconds it took: the phases of a step as the train stage compiles them, or the
    generator forward and forward + backward. The batch is split over the target's devices, the state is on each.

    Raises PreflightError and TrainingError: the batch does not divide so.
    """
    if what not in WHAT:
        raise PreflightError(f"--what {what!r} must be one of {', '.join(WHAT)}")
    count = len(target.devices)
    layout = choose_layout(config.batch_size, config.group_size, count, batch_per_device, deterministic)
    mesh = Mesh(np.array(target.devices), (AXIS,))
    state = jax.eval_shape(lambda: init_state(config.generator, config.discriminator, 0))
    started = time.perf_counter()
    if what == "step":
        compiled = make_programs(config, mesh, state, layout).compiled
    else:
        compiled = {name: lowered.compile() for name, lowered in _generator(config, mesh, state).items()}
    return compiled, time.perf_counter() - started


def _generator(config: TrainConfig, mesh: Mesh, state: Any) -> dict[str, Any]:
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))
    z = jax.ShapeDtypeStruct((config.batch_size, config.generator.z_dim), jnp.float32, sharding=split)
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), state)

    def forward(g: Any, buffers: Any, z: jax.Array) -> jax.Array:
        return step.generate(config, g, buffers, z, None)[0]

    def backward(g: Any, buffers: Any, z: jax.Array) -> Any:
        return jax.grad(lambda g: jnp.mean(jnp.square(forward(g, buffers, z))))(g)

    arguments = state["g"], state["g_buffers"], z
    with jax.set_mesh(mesh):  # kernels are spread over it
        return {
            "forward": jax.jit(forward, out_shardings=split).lower(*arguments),
            "forward + backward": jax.jit(backward, out_shardings=replicated).lower(*arguments),
        }
