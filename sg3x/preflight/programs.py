"""The programs of a run, compiled for a target's devices from shapes alone: nothing is computed, no weight is drawn."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.preflight.target import PreflightError, Target
from sg3x.training.augment import AugmentConfig, augment_images
from sg3x.training.execute.microbatches import choose_microbatches
from sg3x.training.execute.step import compile_step
from sg3x.training.execute.verbs import PerMicrobatch
from sg3x.training.execute.whole import AXIS, Whole
from sg3x.training.objective import phases
from sg3x.training.objective.losses import generator_loss
from sg3x.training.state import TrainConfig, init_state

WHAT = ("step", "generator", "discriminator", "augmentation")


def compile_programs(
    config: TrainConfig, target: Target, what: str = "step", batch_per_device: int | None = None,
    deterministic: bool = False,
) -> tuple[dict[str, Any], float]:  # fmt: skip
    """name -> compiled program, and the seconds it took: the phases of a step as the train stage compiles them, or a part of
    them by itself, minutes where they take up to half an hour: the generator or the augmentation forward and forward +
    backward, or the discriminator as its phase has it, as G's has it, and its R1 phase. The batch is split over the target's
    devices, the state is on each.

    Raises PreflightError and TrainingError: the batch does not divide so.
    """
    if what not in WHAT:
        raise PreflightError(f"--what {what!r} must be one of {', '.join(WHAT)}")
    count = len(target.devices)
    microbatches = choose_microbatches(config.batch_size, config.group_size, count, batch_per_device, deterministic)
    mesh = Mesh(np.array(target.devices), (AXIS,))
    state = jax.eval_shape(lambda: init_state(config.generator, config.discriminator, 0))
    started = time.perf_counter()
    if what == "step":
        compiled = compile_step(config, mesh, state, microbatches).compiled
    else:
        parts = {"generator": _generator, "discriminator": _discriminator, "augmentation": _augmentation}
        compiled = {name: lowered.compile() for name, lowered in parts[what](config, mesh, state).items()}
    return compiled, time.perf_counter() - started


def _shapes(config: TrainConfig, mesh: Mesh, state: Any) -> tuple[NamedSharding, NamedSharding, Any, Any]:
    """How everything lies on every device, how the batch is split, the state's shapes and those of the batch's pictures."""
    everywhere, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), state)
    side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
    pictures = jax.ShapeDtypeStruct((config.batch_size, side, side, channels), jnp.float32, sharding=split)
    return everywhere, split, state, pictures


def _discriminator(config: TrainConfig, mesh: Mesh, state: Any) -> dict[str, Any]:
    _, split, state, pictures = _shapes(config, mesh, state)
    bare = replace(config, augment=AugmentConfig(), blur_init_sigma=0.0, blur_fade_kimg=0.0)
    none = PerMicrobatch(None)

    def main(state: Any, fake: jax.Array, real: jax.Array) -> Any:
        run, own = Whole(bare), (PerMicrobatch(fake), none, PerMicrobatch(real), none, none, none)
        grads, *more = phases.discriminator_gradients(run, state, *own)
        return grads, [one.value for one in more]

    def for_g(d: Any, fake: jax.Array) -> jax.Array:
        return jax.grad(lambda images: generator_loss(phases.logits_of(bare, d, images, None)))(fake)

    def r1(state: Any, real: jax.Array) -> Any:
        return phases.r1_gradients(Whole(bare), state, PerMicrobatch(real), none, none)[0]

    with jax.set_mesh(mesh):
        return {
            "of its weights": jax.jit(main).lower(state, pictures, pictures),
            "of its pictures": jax.jit(for_g, out_shardings=split).lower(state["d"], pictures),
            "R1": jax.jit(r1).lower(state, pictures),
        }


def _augmentation(config: TrainConfig, mesh: Mesh, state: Any) -> dict[str, Any]:
    _, split, state, pictures = _shapes(config, mesh, state)

    def forward(p: jax.Array, images: jax.Array) -> jax.Array:
        return augment_images(images, p, jax.random.key(config.seed), config=config.augment)

    def backward(p: jax.Array, images: jax.Array) -> jax.Array:
        return jax.grad(lambda images: jnp.mean(jnp.square(forward(p, images))))(images)

    with jax.set_mesh(mesh):
        return {
            "forward": jax.jit(forward, out_shardings=split).lower(state["ada"]["p"], pictures),
            "forward + backward": jax.jit(backward, out_shardings=split).lower(state["ada"]["p"], pictures),
        }


def _generator(config: TrainConfig, mesh: Mesh, state: Any) -> dict[str, Any]:
    everywhere, split, state, _ = _shapes(config, mesh, state)
    z = jax.ShapeDtypeStruct((config.batch_size, config.generator.z_dim), jnp.float32, sharding=split)

    def forward(g: Any, buffers: Any, z: jax.Array) -> jax.Array:
        network = phases.generator_of(config, g, buffers)
        return network.synthesis(network.mapping(z), remat=config.recomputes)

    def backward(g: Any, buffers: Any, z: jax.Array) -> Any:
        return jax.grad(lambda g: jnp.mean(jnp.square(forward(g, buffers, z))))(g)

    arguments = state["g"], state["g_buffers"], z
    with jax.set_mesh(mesh):  # kernels are spread over it
        return {
            "forward": jax.jit(forward, out_shardings=split).lower(*arguments),
            "forward + backward": jax.jit(backward, out_shardings=everywhere).lower(*arguments),
        }
