"""`deterministic: true`: the programs of a step, of which none knows how many devices there are.

What couples the batch's groups is one program before them and one after them, what concerns one group a program of its own:
`begin` cuts the batch (random draws, styles), each group goes through a `unit`, `add` adds up, `end` moves the
parameters. The mathematics of a unit is that of `training.parts`; who runs what is `training.ordered`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from sg3x.networks.naming import Params
from sg3x.networks.schedule import layer_schedule
from sg3x.training import parts, step
from sg3x.training.layout import Layout
from sg3x.training.state import State, TrainConfig


def begin_generator(config: TrainConfig, layout: Layout, state: State) -> tuple[list[Any], Params]:
    """(ws and draws of each unit, the styles' powers of the whole batch)."""
    ws, powers = parts.styles(config, state["g"], state["g_buffers"], step.latents(config, state, "z_g"))
    return layout.cut((ws, parts.draws(config, state, "augment_g"))), powers


def end_generator(config: TrainConfig, layout: Layout, state: State, total: Any, units: list[Any]) -> State:
    """From the sum of the units' gradients, and each unit's gradient of ws and logits."""
    grads, d_powers = jax.tree.map(lambda g: g / layout.units, total)
    z = step.latents(config, state, "z_g")
    _, pull = jax.vjp(lambda g: parts.styles(config, g, state["g_buffers"], z), state["g"])
    d_ws = layout.in_batch_order(jnp.stack([d_ws for d_ws, _ in units])) / layout.units
    (through_styles,) = pull((d_ws, d_powers))
    logits = jnp.concatenate([logits for _, logits in units])
    return parts.finish_generator_phase(config, state, grads, through_styles, logits)


def begin_discriminator(
    config: TrainConfig, layout: Layout, state: State
) -> tuple[list[Any], list[Any], Params, Params]:
    """(ws of each unit, its draws for generated and real pictures, the styles' powers, the buffers with w_avg moved)."""
    z = step.latents(config, state, "z_d")
    ws, powers, moved = parts.tracked_styles(config, state, z)
    drawn = [parts.draws(config, state, purpose) for purpose in ("augment_fake", "augment_real")]
    return layout.cut(ws), layout.cut(drawn), powers, moved


def end_discriminator(
    config: TrainConfig, layout: Layout, state: State, moved: Params, total: Params, units: list[Any]
) -> State:
    """From the moved buffers, the sum of the units' gradients, and each unit's fake and real logits."""
    state = {**state, "g_buffers": {**state["g_buffers"], **moved}}
    grads = jax.tree.map(lambda g: g / layout.units, total)
    fake_logits, real_logits = (jnp.concatenate(logits) for logits in zip(*units, strict=True))
    return parts.finish_discriminator_phase(config, state, grads, fake_logits, real_logits)


def begin_r1(config: TrainConfig, layout: Layout, state: State) -> list[Any]:
    """Each unit's draws."""
    return layout.cut(parts.draws(config, state, "augment_r1"))


def end_r1(config: TrainConfig, layout: Layout, state: State, total: Params, units: list[Any]) -> State:
    """From the sum of the units' gradients, and each unit's mean penalty and logits."""
    grads = jax.tree.map(lambda g: g / layout.units, total)
    state = step.apply_discriminator(config, state, grads, r1=True)
    penalties, logits = zip(*units, strict=True)
    return step.finish_r1_phase(state, grads, jnp.mean(jnp.stack(penalties)), jnp.concatenate(logits))


def move_magnitude(config: TrainConfig, ema: jax.Array, squares: list[jax.Array]) -> jax.Array:
    """A layer's magnitude EMA, from each unit's mean square."""
    return parts.moved_magnitude(config, ema, jnp.mean(jnp.stack(squares)))


def add(total: Any, one: Any) -> Any:
    """Elementwise."""
    return jax.tree.map(jnp.add, total, one)


@dataclass
class Program:
    """A function, the shapes of its arguments and of its result, and which arguments it takes over."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: Any
    donate: tuple[int, ...] = ()


@dataclass
class Plan:
    """What is compiled. `whole` programs run on the first device of each process, `units` on every device."""

    whole: dict[str, Program] = field(default_factory=dict)
    units: dict[str, Program] = field(default_factory=dict)

    def add_whole(self, name: str, function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()) -> Any:
        """The shapes of what function(*arguments) gives."""
        self.whole[name] = Program(function, arguments, jax.eval_shape(function, *arguments), donate)
        return self.whole[name].result

    def add_unit(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The shapes of what function(*arguments) gives."""
        self.units[name] = Program(function, arguments, jax.eval_shape(function, *arguments))
        return self.units[name].result


def for_generator(state: State) -> State:
    """What a unit of G's phase needs of the state."""
    return {name: state[name] for name in ("g", "g_buffers", "d", "ada", "nimg")}


def for_discriminator(state: State) -> State:
    """What a unit of D's phases needs of the state."""
    return {name: state[name] for name in ("d", "ada", "nimg")}


def plan_step(config: TrainConfig, layout: Layout, state: State, real: Any) -> Plan:
    """All programs of a step for a state and a unit of real pictures of these shapes."""
    plan, units = Plan(), layout.units
    unit: Callable[..., Any]
    own, powers = plan.add_whole("G begin", partial(begin_generator, config, layout), state)
    unit = partial(parts.generator_unit, config)
    grads, more = plan.add_unit("G unit", unit, for_generator(state), powers, *own[0])
    plan.add_whole("G add", add, grads, grads, donate=(0,))
    plan.add_whole("G end", partial(end_generator, config, layout), state, grads, [more] * units, donate=(0,))

    ws, drawn, powers, moved = plan.add_whole("D begin", partial(begin_discriminator, config, layout), state)
    x, square = plan.add_unit("D input", partial(parts.input_unit, config), *parts.of_layer(state, "input"), ws[0])
    for i, layer in enumerate(layer_schedule(config.generator).layers):
        g, buffers = parts.of_layer(state, layer.name)
        unit = partial(parts.layer_unit, config, i)
        x, square = plan.add_unit(f"D layer {i}", unit, g, buffers, powers.get(layer.name), x, ws[0])
        moved = {**moved, **{f"synthesis.{layer.name}.{n}": ema for n, ema in buffers.items()}}
    plan.add_whole("D magnitude", partial(move_magnitude, config), square, [square] * units)
    unit = partial(parts.discriminator_unit, config)
    grads, more = plan.add_unit("D unit", unit, for_discriminator(state), x, real, *drawn[0])
    plan.add_whole("D add", add, grads, grads, donate=(0,))
    end = partial(end_discriminator, config, layout)
    plan.add_whole("D end", end, state, moved, grads, [more] * units, donate=(0,))

    drawn = plan.add_whole("R1 begin", partial(begin_r1, config, layout), state)
    unit = partial(parts.r1_unit, config)
    grads, more = plan.add_unit("R1 unit", unit, for_discriminator(state), real, drawn[0])
    plan.add_whole("R1 add", add, grads, grads, donate=(0,))
    plan.add_whole("R1 end", partial(end_r1, config, layout), state, grads, [more] * units, donate=(0,))
    return plan
