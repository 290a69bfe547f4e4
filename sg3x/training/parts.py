"""The phases of a step, computed unit by unit: gradient accumulation, and sums in an order that is the same on every layout.

The same random draws, losses and updates as in `training.step`, whose functions are used wherever a unit is a small batch
of its own. What couples the whole batch is treated apart:
* the styles' normalisation (StyleGAN3, appendix C.3): w and the styles' power are computed for the whole batch, which is
  cheap; the units' gradients with respect to them are collected and pulled back once.
* the magnitude EMAs (appendix C.3), each moved before it is used: pictures for D are generated layer by layer, every unit
  through one layer before the next one.
* ADA's signs and the losses: from all logits.

Everything here runs inside `jax.shard_map` over the axis "data": see `training.programs`.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from sg3x.networks import layer_schedule, mapping, synthesis, synthesis_layer
from sg3x.networks.generator import style_powers, synthesis_input
from sg3x.networks.layers import Params
from sg3x.training import losses, step
from sg3x.training.augment import Draws, apply, draw
from sg3x.training.layout import Layout
from sg3x.training.state import State, TrainConfig


def generator_phase(config: TrainConfig, layout: Layout, state: State, trips: jax.Array) -> State:
    """`step.generator_phase`, unit by unit."""
    z = step.latents(config, state, "z_g")
    (ws, powers), pull = jax.vjp(lambda g: _styles(config, g, state["g_buffers"], z), state["g"])
    view, draws = _view(config, state, "augment_g")

    def unit(ws: jax.Array, draws: Draws | None) -> tuple[tuple[Params, Params], tuple[jax.Array, jax.Array]]:
        def objective(g: Params, ws: jax.Array, powers: Params) -> tuple[jax.Array, jax.Array]:
            images, _ = synthesis(
                g, state["g_buffers"], config.generator, ws, style_powers=powers, remat=config.recomputes
            )
            logits = step.judge(config, state["d"], view(images, draws), None)
            return losses.generator_loss(logits), logits

        (g, d_ws, d_powers), logits = jax.grad(objective, argnums=(0, 1, 2), has_aux=True)(state["g"], ws, powers)
        return (g, d_powers), (d_ws, logits)

    (grads, d_powers), (d_ws, logits) = layout.mean_gradients(unit, trips, layout.mine(ws), _mine(layout, draws))
    (through_styles,) = pull((_in_batch_order(layout, d_ws) / layout.units, d_powers))
    grads = jax.tree.map(jnp.add, grads, through_styles)
    state = step.apply_generator(config, state, grads)
    loss = losses.generator_loss(layout.samples(logits))
    return step.measure(state, {"loss_g": loss, "grad_norm_g": step.norm(grads)})


def discriminator_phase(
    config: TrainConfig, layout: Layout, state: State, trips: jax.Array, real: jax.Array
) -> State:  # fmt: skip
    """`step.discriminator_phase`, unit by unit; real: this device's units uint8[per_device, unit, R, R, C]."""
    fake, buffers = generate_units(config, layout, trips, state, step.latents(config, state, "z_d"))
    view_fake, draws_fake = _view(config, state, "augment_fake")
    view_real, draws_real = _view(config, state, "augment_real")

    def unit(fake: jax.Array, real: jax.Array, drawn: tuple) -> tuple[Params, tuple[jax.Array, jax.Array]]:
        views = partial(view_fake, draws=drawn[0]), partial(view_real, draws=drawn[1])
        grads, (_, *logits) = step.discriminator_gradients(
            config, state["d"], fake, None, step.to_float(real), None, *views
        )
        return grads, (logits[0], logits[1])

    drawn = _mine(layout, draws_fake), _mine(layout, draws_real)
    grads, logits = layout.mean_gradients(unit, trips, fake, real, drawn)
    state = step.apply_discriminator(config, {**state, "g_buffers": buffers}, grads)
    fake_logits, real_logits = layout.samples(logits[0]), layout.samples(logits[1])
    return step.finish_discriminator_phase(
        state, grads, losses.discriminator_loss(fake_logits, real_logits), fake_logits, real_logits
    )


def r1_phase(config: TrainConfig, layout: Layout, state: State, trips: jax.Array, real: jax.Array) -> State:
    """`step.r1_phase`, unit by unit."""
    view, draws = _view(config, state, "augment_r1")

    def unit(real: jax.Array, draws: Draws | None) -> tuple[Params, tuple[jax.Array, jax.Array]]:
        return step.r1_gradients(config, state["d"], step.to_float(real), None, partial(view, draws=draws))

    grads, (penalty, logits) = layout.mean_gradients(unit, trips, real, _mine(layout, draws))
    state = step.apply_discriminator(config, state, grads, r1=True)
    return step.finish_r1_phase(state, grads, jnp.mean(layout.gather(penalty)), layout.samples(logits))


def generate_units(
    config: TrainConfig, layout: Layout, trips: jax.Array, state: State, z: jax.Array
) -> tuple[jax.Array, Params]:
    """This device's pictures float32[per_device, unit, R, R, C] of all latents z[N, z_dim], and the moved buffers."""
    g, buffers = state["g"], dict(state["g_buffers"])
    ws, buffers = mapping(g, buffers, config.generator, z, update_emas=True)
    powers = style_powers(g, config.generator, ws)
    mine = layout.mine(ws)

    def measured(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return x, jnp.mean(jnp.square(x.astype(jnp.float32)))

    def first(ws: jax.Array) -> tuple[jax.Array, jax.Array]:
        return measured(synthesis_input(g, buffers, config.generator, ws[:, 0]))

    x, squares = layout.map_units(first, trips, mine)
    for i, layer in enumerate(layer_schedule(config.generator).layers, start=1):
        name = f"synthesis.{layer.name}.magnitude_ema"
        magnitude = layout.mean(squares)
        moved = magnitude + config.generator.magnitude_ema_beta * (buffers[name] - magnitude)
        buffers = {**buffers, name: moved}

        def one(x: jax.Array, ws: jax.Array, layer=layer, i=i, buffers=buffers) -> tuple[jax.Array, jax.Array]:
            y, _ = synthesis_layer(
                g, buffers, config.generator, layer, x, ws[:, i], style_power=powers.get(layer.name)
            )  # fmt: skip
            return measured(y)

        x, squares = layout.map_units(one, trips, x, mine)
    return x.astype(jnp.float32) * config.generator.output_scale, buffers


def _styles(config: TrainConfig, g: Params, buffers: Params, z: jax.Array) -> tuple[jax.Array, Params]:
    """ws and the styles' powers of the whole batch."""
    ws, _ = mapping(g, buffers, config.generator, z)
    return ws, style_powers(g, config.generator, ws)


def _view(config: TrainConfig, state: State, purpose: str):
    """(what happens to a unit's pictures on their way into D, the draws of the whole batch or None)."""
    blurred = step.blur_view(config, state)
    if not config.augment.enabled:
        return (lambda images, draws: blurred(images)), None
    side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
    draws = draw(config.augment, step.key(config, state, purpose), config.batch_size, side, side, channels)

    def view(images: jax.Array, draws: Draws) -> jax.Array:
        return apply(blurred(images), state["ada"]["p"], draws, config=config.augment)

    return view, draws


def _mine(layout: Layout, draws: Draws | None) -> Draws | None:
    return jax.tree.map(layout.mine, draws)


def _in_batch_order(layout: Layout, x: jax.Array) -> jax.Array:
    """[per_device, unit, ...] of every device -> [N, ...] in the order of the batch: undoes `Layout.arrange`."""
    every, k = layout.gather(x), layout.unit // layout.group
    rest = every.shape[2:]
    return every.reshape(layout.units, layout.group, k, *rest).swapaxes(0, 1).reshape(layout.batch_size, *rest)
