"""The phases of a step, computed unit by unit: gradient accumulation.

The same random draws, losses and updates as in `training.step`, whose functions are used wherever a unit is a small batch
of its own. What couples the whole batch is treated apart:
* the styles' normalisation (StyleGAN3, appendix C.3): w and the styles' power are computed for the whole batch, which is
  cheap; the units' gradients with respect to them are collected and pulled back once.
* the magnitude EMAs (appendix C.3), each moved before it is used: pictures for D are generated layer by layer, every unit
  through one layer before the next one.
* ADA's signs and the losses: from all logits.

The phases run inside `jax.shard_map` over the axis "data": see `training.programs`. What they do with one unit, the
functions named `..._unit`, `training.ordered` runs as programs of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from sg3x.networks.naming import Params, bind, definition, flat
from sg3x.networks.schedule import layer_schedule
from sg3x.networks.synthesis import SynthesisLayer
from sg3x.networks.synthesis_input import SynthesisInput
from sg3x.networks.variables import RunningMean
from sg3x.training import losses, step
from sg3x.training.augment import Draws, apply, draw
from sg3x.training.layout import Layout
from sg3x.training.state import State, TrainConfig


def generator_phase(config: TrainConfig, layout: Layout, state: State, trips: jax.Array) -> State:
    """`step.generator_phase`, unit by unit."""
    z = step.latents(config, state, "z_g")
    (ws, powers), pull = jax.vjp(lambda g: styles(config, g, state["g_buffers"], z), state["g"])
    unit = partial(generator_unit, config, state, powers)
    mine = layout.mine(ws), _mine(layout, draws(config, state, "augment_g"))
    (grads, d_powers), (d_ws, logits) = layout.mean_gradients(unit, trips, *mine)
    (through_styles,) = pull((layout.in_batch_order(layout.gather(d_ws)) / layout.units, d_powers))
    return finish_generator_phase(config, state, grads, through_styles, layout.samples(logits))


def generator_unit(
    config: TrainConfig, state: State, powers: Params, ws: jax.Array, drawn: Draws | None
) -> tuple[tuple[Params, Params], tuple[jax.Array, jax.Array]]:
    """G's loss on one unit: gradients of the weights and of the styles' powers; gradient of ws, logits."""
    view = _view(config, state)

    def objective(g: Params, ws: jax.Array, powers: Params) -> tuple[jax.Array, jax.Array]:
        network = step.generator_of(config, g, state["g_buffers"])
        images = network.synthesis(ws, style_powers=powers, remat=config.recomputes)
        logits = step.judge(config, state["d"], view(images, drawn), None)
        return losses.generator_loss(logits), logits

    (g, d_ws, d_powers), logits = jax.grad(objective, argnums=(0, 1, 2), has_aux=True)(state["g"], ws, powers)
    return (g, d_powers), (d_ws, logits)


def finish_generator_phase(
    config: TrainConfig, state: State, grads: Params, through_styles: Params, logits: jax.Array
) -> State:
    """Adam's step of G, and what is measured."""
    grads = jax.tree.map(jnp.add, grads, through_styles)
    state = step.apply_generator(config, state, grads)
    return step.measure(state, {"loss_g": losses.generator_loss(logits), "grad_norm_g": step.norm(grads)})


def discriminator_phase(
    config: TrainConfig, layout: Layout, state: State, trips: jax.Array, real: jax.Array
) -> State:  # fmt: skip
    """`step.discriminator_phase`, unit by unit; real: this device's units uint8[per_device, unit, R, R, C]."""
    fake, buffers = generate_units(config, layout, trips, state, step.latents(config, state, "z_d"))
    drawn = [_mine(layout, draws(config, state, purpose)) for purpose in ("augment_fake", "augment_real")]
    unit = partial(discriminator_unit, config, state)
    grads, logits = layout.mean_gradients(unit, trips, fake, real, *drawn)
    state = {**state, "g_buffers": buffers}
    return finish_discriminator_phase(config, state, grads, layout.samples(logits[0]), layout.samples(logits[1]))


def discriminator_unit(
    config: TrainConfig, state: State, fake: jax.Array, real: jax.Array, drawn_fake: Draws | None,
    drawn_real: Draws | None,
) -> tuple[Params, tuple[jax.Array, jax.Array]]:  # fmt: skip
    """D's loss on one unit of generated pictures and one of real ones uint8: gradients; fake and real logits."""
    view = _view(config, state)
    views = partial(view, drawn=drawn_fake), partial(view, drawn=drawn_real)
    real = step.to_float(real)
    grads, (_, *logits) = step.discriminator_gradients(config, state["d"], fake, None, real, None, *views)
    return grads, (logits[0], logits[1])


def finish_discriminator_phase(
    config: TrainConfig, state: State, grads: Params, fake_logits: jax.Array, real_logits: jax.Array
) -> State:
    """Adam's step of D, and what is counted and measured."""
    state = step.apply_discriminator(config, state, grads)
    loss = losses.discriminator_loss(fake_logits, real_logits)
    return step.finish_discriminator_phase(state, grads, loss, fake_logits, real_logits)


def r1_phase(config: TrainConfig, layout: Layout, state: State, trips: jax.Array, real: jax.Array) -> State:
    """`step.r1_phase`, unit by unit."""
    unit = partial(r1_unit, config, state)
    drawn = _mine(layout, draws(config, state, "augment_r1"))
    grads, (penalty, logits) = layout.mean_gradients(unit, trips, real, drawn)
    state = step.apply_discriminator(config, state, grads, r1=True)
    return step.finish_r1_phase(state, grads, jnp.mean(layout.gather(penalty)), layout.samples(logits))


def r1_unit(
    config: TrainConfig, state: State, real: jax.Array, drawn: Draws | None
) -> tuple[Params, tuple[jax.Array, jax.Array]]:
    """R1 on one unit of real pictures uint8: gradients; mean penalty, logits."""
    view = partial(_view(config, state), drawn=drawn)
    return step.r1_gradients(config, state["d"], step.to_float(real), None, view)


def generate_units(
    config: TrainConfig, layout: Layout, trips: jax.Array, state: State, z: jax.Array
) -> tuple[jax.Array, Params]:
    """This device's pictures float32[per_device, unit, R, R, C] of all latents z[N, z_dim], and the moved buffers."""
    ws, powers, moved = tracked_styles(config, state, z)
    state = {**state, "g_buffers": {**state["g_buffers"], **moved}}
    mine = layout.mine(ws)

    x, squares = layout.map_units(partial(input_unit, config, *of_layer(state, "input")), trips, mine)
    for i, layer in enumerate(layer_schedule(config.generator).layers):
        g, buffers = of_layer(state, layer.name)
        buffers = {n: moved_magnitude(config, ema, layout.mean(squares)) for n, ema in buffers.items()}
        state["g_buffers"] |= {f"synthesis.{layer.name}.{n}": ema for n, ema in buffers.items()}
        one = partial(layer_unit, config, i, g, buffers, powers.get(layer.name))
        x, squares = layout.map_units(one, trips, x, mine)
    return x, state["g_buffers"]


def of_layer(state: State, layer: str) -> tuple[Params, Params]:
    """The parameters and buffers of one layer of synthesis, by their names in that layer."""
    start = f"synthesis.{layer}."
    g, buffers = (
        {n.removeprefix(start): x for n, x in state[part].items() if n.startswith(start)} for part in ("g", "g_buffers")
    )
    return g, buffers


def input_unit(config: TrainConfig, g: Params, buffers: Params, ws: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What synthesis starts from for one unit of ws[n, num_ws, w_dim], and its mean square."""
    spec = layer_schedule(config.generator).input
    layer: SynthesisInput = bind(definition(SynthesisInput, spec, config.generator.w_dim), g, buffers)
    return _measured(layer(ws[:, 0].astype(jnp.float32)))


def layer_unit(
    config: TrainConfig, i: int, g: Params, buffers: Params, power: jax.Array | None, x: jax.Array, ws: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One unit through layer i with the moved buffers, and its mean square; after the last layer the pictures, scaled."""
    layers = layer_schedule(config.generator).layers
    layer: SynthesisLayer = bind(definition(SynthesisLayer, layers[i], config.generator), g, buffers)
    x = layer(x, ws[:, i + 1], power)
    return _measured(x.astype(jnp.float32) * config.generator.output_scale if i == len(layers) - 1 else x)


def _measured(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, jnp.mean(jnp.square(x.astype(jnp.float32)))


def moved_magnitude(config: TrainConfig, ema: jax.Array, magnitude: jax.Array) -> jax.Array:
    """A layer's magnitude EMA after the mean square of its input over the whole batch was counted in."""
    return magnitude + config.generator.magnitude_ema_beta * (ema - magnitude)


def styles(config: TrainConfig, g: Params, buffers: Params, z: jax.Array) -> tuple[jax.Array, Params]:
    """ws and the styles' powers of the whole batch."""
    network = step.generator_of(config, g, buffers)
    ws = network.mapping(z)
    return ws, network.synthesis.style_powers(ws)


def tracked_styles(config: TrainConfig, state: State, z: jax.Array) -> tuple[jax.Array, Params, Params]:
    """ws and the styles' powers of the whole batch, and w_avg moved."""
    network = step.generator_of(config, state["g"], state["g_buffers"])
    ws = network.mapping(z, track=True)
    moved = {f"mapping.{name}": x for name, x in flat(network.mapping, RunningMean).items()}
    return ws, network.synthesis.style_powers(ws), moved


def draws(config: TrainConfig, state: State, purpose: str) -> Draws | None:
    """The augmentation's draws for the whole batch; None: nothing is augmented."""
    if not config.augment.enabled:
        return None
    side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
    return draw(config.augment, step.key(config, state, purpose), config.batch_size, side, side, channels)


def _view(config: TrainConfig, state: State) -> Callable[..., jax.Array]:
    """What happens to a unit's pictures on their way into D, given the unit's draws."""
    blurred = step.blur_view(config, state)

    def view(images: jax.Array, drawn: Draws | None) -> jax.Array:
        return blurred(images) if drawn is None else apply(
            blurred(images), state["ada"]["p"], drawn, config=config.augment
        )  # fmt: skip

    return view


def _mine(layout: Layout, drawn: Draws | None) -> Draws | None:
    return jax.tree.map(layout.mine, drawn)
