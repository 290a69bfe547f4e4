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
from sg3x.training.augment import augment_images
from sg3x.training.layout import AXIS, choose_layout
from sg3x.training.losses import generator_loss
from sg3x.training.ordered import make_programs
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
    layout = choose_layout(config.batch_size, config.group_size, count, batch_per_device, deterministic)
    mesh = Mesh(np.array(target.devices), (AXIS,))
    state = jax.eval_shape(lambda: init_state(config.generator, config.discriminator, 0))
    started = time.perf_counter()
    if what == "step":
        compiled = make_programs(config, mesh, state, layout).compiled
    else:
        parts = {"generator": _generator, "discriminator": _discriminator, "augmentation": _augmentation}
        compiled = {name: lowered.compile() for name, lowered in parts[what](config, mesh, state).items()}
    return compiled, time.perf_counter() - started


def _shapes(config: TrainConfig, mesh: Mesh, state: Any) -> tuple[NamedSharding, NamedSharding, Any, Any]:
    """Placement on the devices, split of the batch, shapes of the state and of the batch's pictures."""
    everywhere, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), state)
    side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
    pictures = jax.ShapeDtypeStruct((config.batch_size, side, side, channels), jnp.float32, sharding=split)
    return everywhere, split, state, pictures


def _discriminator(config: TrainConfig, mesh: Mesh, state: Any) -> dict[str, Any]:
    _, split, state, pictures = _shapes(config, mesh, state)

    def same(images: jax.Array) -> jax.Array:
        return images

    def main(d: Any, fake: jax.Array, real: jax.Array) -> Any:
        return step.discriminator_gradients(config, d, fake, None, real, None, same, same)

    def for_g(d: Any, fake: jax.Array) -> jax.Array:
        return jax.grad(lambda images: generator_loss(step.judge(config, d, images, None)))(fake)

    def r1(d: Any, real: jax.Array) -> Any:
        return step.r1_gradients(config, d, real, None, same)

    with jax.set_mesh(mesh):
        return {
            "of its weights": jax.jit(main).lower(state["d"], pictures, pictures),
            "of its pictures": jax.jit(for_g, out_shardings=split).lower(state["d"], pictures),
            "R1": jax.jit(r1).lower(state["d"], pictures),
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
        return step.generate(config, g, buffers, z, None)[0]

    def backward(g: Any, buffers: Any, z: jax.Array) -> Any:
        return jax.grad(lambda g: jnp.mean(jnp.square(forward(g, buffers, z))))(g)

    arguments = state["g"], state["g_buffers"], z
    with jax.set_mesh(mesh):  # kernels are spread over it
        return {
            "forward": jax.jit(forward, out_shardings=split).lower(*arguments),
            "forward + backward": jax.jit(backward, out_shardings=everywhere).lower(*arguments),
        }
