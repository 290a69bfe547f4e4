"""A training step: G's phase, D's phase, R1 every so often, then the weight average and ADA's p.

Each phase is written once, as a recipe over the verbs of an executor (`training.execute`), which knows of devices and
microbatches what a phase need not know: `once` computes something of the whole batch, `each` something of every microbatch,
of whose gradients it takes the mean. A new term of a loss is a line in one of the functions named ..._microbatch.

What couples a batch's samples, beside the discriminator's groups, which stay whole, is computed `once`:
* the styles' normalisation (StyleGAN3, appendix C.3): w and the styles' powers are those of the batch; the gradients that the
  microbatches find for them are pulled back together.
* the running magnitudes (appendix C.3), each moved before it is used: pictures for D are made layer by layer, every microbatch
  going through one layer before the next one.

Order, gains and what moves when are those of the StyleGAN3 training loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sg3x.networks.discriminator import Discriminator
from sg3x.networks.generator import Generator
from sg3x.networks.naming import Params, bind, definition, flat
from sg3x.networks.schedule import layer_schedule
from sg3x.networks.synthesis import SynthesisLayer
from sg3x.networks.synthesis_input import SynthesisInput
from sg3x.networks.variables import RunningMean
from sg3x.training.augment import Draws, apply, draw
from sg3x.training.execute.verbs import PerMicrobatch, Verbs, in_batch_order
from sg3x.training.objective import losses
from sg3x.training.objective.ada import adjust_ada, report_signs
from sg3x.training.objective.average import move_average
from sg3x.training.objective.optimizers import step_discriminator, step_generator, with_frozen_layers
from sg3x.training.objective.statistics import add_statistics, norm
from sg3x.training.state import State, TrainConfig, purpose_key

Labels = jax.Array | None  # float32[n, c_dim]; None: unconditional networks


class Batch(NamedTuple):
    """Real pictures uint8[..., R, R, C] and their labels, a leaf for each microbatch as the executor keeps them."""

    real: Any
    real_c: Any = None


# ---------------------------------------------------------------- G


def generator_phase(run: Verbs, state: State) -> State:
    """One Adam step of G on fresh latents."""
    z, c, drawn = run.once(generator_inputs, state["nimg"])
    grads, loss = generator_gradients(run, state, z, c, drawn)
    return run.once(update_generator, state, grads, loss, consume=True)


def generator_inputs(config: TrainConfig, nimg: jax.Array) -> tuple[jax.Array, Labels, Draws | None]:
    """All that is random in G's phase."""
    return latents(config, nimg, "z_g"), fake_labels(config), draws(config, nimg, "augment_g")


def generator_gradients(
    run: Verbs, state: State, z: jax.Array, c: Labels, drawn: Draws | None
) -> tuple[Params, PerMicrobatch]:
    """Gradients of G's loss, and the loss of each microbatch. Running means stand still."""
    weights = state["g"], state["g_buffers"]
    ws, powers, _ = run.once(styles, *weights, z, c, coupled=run.in_parts)
    shared = _only(state, "g", "g_buffers", "d", "ada", "nimg"), powers
    (grads, d_powers), d_ws, loss = run.each(generator_microbatch, shared, tuple(run.split(ws, c, drawn)))
    inputs = d_powers, d_ws, *weights, z, c
    return run.once(through_styles, grads, *inputs, consume=True, coupled=run.in_parts), loss


def generator_microbatch(
    config: TrainConfig, state: State, powers: Params | None, ws: jax.Array, c: Labels, drawn: Draws | None
) -> tuple[tuple[Params, Params | None], jax.Array, jax.Array]:
    """Gradients of G's loss by its weights and by the styles' powers; the gradient by ws; the loss."""

    def objective(g: Params, powers: Params | None, ws: jax.Array) -> jax.Array:
        synthesis = generator_of(config, g, state["g_buffers"]).synthesis
        images = synthesis(ws, style_powers=powers, remat=config.recomputes)
        return losses.generator_loss(logits_of(config, state["d"], seen(config, state, images, drawn), c))

    loss, (g, d_powers, d_ws) = jax.value_and_grad(objective, argnums=(0, 1, 2))(state["g"], powers, ws)
    return (g, d_powers), d_ws, loss


def styles(
    config: TrainConfig, g: Params, buffers: Params, z: jax.Array, c: Labels, *, coupled: bool, track: bool = False
) -> tuple[jax.Array, Params | None, Params]:
    """ws; the styles' powers of the whole batch, if its parts are `coupled` by them; w_avg, moved if `track`."""
    network = generator_of(config, g, buffers)
    ws = network.mapping(z, c, track=track)
    w_avg = {f"mapping.{name}": x for name, x in flat(network.mapping, RunningMean).items()}
    return ws, network.synthesis.style_powers(ws) if coupled else None, w_avg


def through_styles(
    config: TrainConfig, grads: Params, d_powers: Params | None, d_ws: jax.Array, g: Params, buffers: Params,
    z: jax.Array, c: Labels, *, coupled: bool,
) -> Params:  # fmt: skip
    """G's gradients: those of the microbatches, and what goes through ws and the styles' powers."""
    _, pull = jax.vjp(lambda g: styles(config, g, buffers, z, c, coupled=coupled)[:2], g)
    (through,) = pull((in_batch_order(d_ws, config.group_size) / len(d_ws), d_powers))
    return jax.tree.map(jnp.add, grads, through)


def update_generator(config: TrainConfig, state: State, grads: Params, loss: jax.Array) -> State:
    """Adam's step, and what is measured."""
    state = step_generator(config, state, grads)
    return add_statistics(state, loss_g=jnp.mean(loss), grad_norm_g=norm(grads))


# ---------------------------------------------------------------- D


def discriminator_phase(run: Verbs, state: State, batch: Batch) -> State:
    """One Adam step of D on fresh latents and real pictures; G's running means move here."""
    z, c, *drawn = run.once(discriminator_inputs, state["nimg"])
    fake, moved = generated(run, state, z, c)
    state = {**state, "g_buffers": {**state["g_buffers"], **moved}}
    fake_c, drawn_fake, drawn_real = run.split(c, *drawn)
    found = discriminator_gradients(run, state, fake, fake_c, *batch, drawn_fake, drawn_real)
    return run.once(update_discriminator, state, *found, consume=True)


def discriminator_inputs(config: TrainConfig, nimg: jax.Array) -> tuple[jax.Array, Labels, Draws | None, Draws | None]:
    """All that is random in D's phase."""
    drawn = (draws(config, nimg, purpose) for purpose in ("augment_fake", "augment_real"))
    return latents(config, nimg, "z_d"), fake_labels(config), *drawn  # type: ignore[return-value]


def generated(run: Verbs, state: State, z: jax.Array, c: Labels) -> tuple[PerMicrobatch, Params]:
    """Pictures of the latents, and the running means, each moved before it is used. No gradient is taken."""
    ws, powers, moved = run.once(styles, state["g"], state["g_buffers"], z, c, coupled=run.in_parts, track=True)
    (ws,) = run.split(ws)
    _, x, square = run.each(fourier_features, _of_layer(state, "input"), (ws,))
    for i, spec in enumerate(layer_schedule(run.config.generator).layers):
        g, buffers = _of_layer(state, spec.name)
        ema = run.once(move_magnitude, buffers["magnitude_ema"], square)
        moved[f"synthesis.{spec.name}.magnitude_ema"] = ema
        power = None if powers is None else powers.get(spec.name)
        _, x, square = run.each(synthesis_layer, (g, {"magnitude_ema": ema}, power), (x, ws), layer=i)
    return x, moved


def fourier_features(config: TrainConfig, g: Params, buffers: Params, ws: jax.Array) -> tuple[Any, ...]:
    """What synthesis starts from, and its mean square."""
    spec = layer_schedule(config.generator).input
    layer: SynthesisInput = bind(definition(SynthesisInput, spec, config.generator.w_dim), g, buffers)
    return None, *_with_mean_square(layer(ws[:, 0]))


def synthesis_layer(
    config: TrainConfig, g: Params, buffers: Params, power: jax.Array | None, x: jax.Array, ws: jax.Array, *, layer: int
) -> tuple[Any, ...]:
    """What a layer makes of x, and its mean square; after the last layer the pictures."""
    specs = layer_schedule(config.generator).layers
    network: SynthesisLayer = bind(definition(SynthesisLayer, specs[layer], config.generator), g, buffers)
    x = network(x, ws[:, layer + 1], power)
    return None, *_with_mean_square(
        x.astype(jnp.float32) * config.generator.output_scale if layer == len(specs) - 1 else x
    )


def _with_mean_square(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, jnp.mean(jnp.square(x.astype(jnp.float32)))


def move_magnitude(config: TrainConfig, ema: jax.Array, squares: jax.Array) -> jax.Array:
    """m + beta (ema - m), where m is the mean square of the layer's input over the whole batch (appendix C.3)."""
    magnitude = jnp.mean(squares)
    return magnitude + config.generator.magnitude_ema_beta * (ema - magnitude)


def discriminator_gradients(
    run: Verbs, state: State, fake: PerMicrobatch, fake_c: PerMicrobatch, real: PerMicrobatch, real_c: PerMicrobatch,
    drawn_fake: PerMicrobatch, drawn_real: PerMicrobatch,
) -> tuple[Params, PerMicrobatch, PerMicrobatch, PerMicrobatch]:  # fmt: skip
    """Gradients of D's loss; of each microbatch the loss, fake and real logits."""
    own = fake, fake_c, real, real_c, drawn_fake, drawn_real
    return run.each(discriminator_microbatch, (_only(state, "d", "ada", "nimg"),), own)


def discriminator_microbatch(
    config: TrainConfig, state: State, fake: jax.Array, fake_c: Labels, real: jax.Array, real_c: Labels,
    drawn_fake: Draws | None, drawn_real: Draws | None,
) -> tuple[Params, jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """Gradients of D's loss; loss, fake and real logits. G's pictures carry no gradient.

    D sees both kinds as one batch, in turns: its weights' gradients are one product each, and one all-reduce. Of 2N samples
    sample m is in group m mod (2N / G) of the minibatch standard deviation: groups of one kind, the same as N and N would give.
    """
    if (fake_c is None) != (real_c is None):
        raise ValueError("fake_c and real_c: labels of both kinds of pictures or of neither")
    views = seen(config, state, fake, drawn_fake), seen(config, state, to_float(real), drawn_real)
    pictures = _in_turns(*views)
    c = None if fake_c is None or real_c is None else _in_turns(fake_c, real_c)
    group = min(config.discriminator.mbstd_group_size or len(fake), len(fake))

    def objective(d: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        logits = logits_of(config, with_frozen_layers(config, d), pictures, c, group)
        fake_logits, real_logits = logits[0::2], logits[1::2]
        return losses.discriminator_loss(fake_logits, real_logits), (fake_logits, real_logits)

    (loss, logits), grads = jax.value_and_grad(objective, has_aux=True)(state["d"])
    return grads, loss, *logits


def _in_turns(a: jax.Array, b: jax.Array) -> jax.Array:
    """a[0], b[0], a[1], b[1], ...: a device's share of the result is made of its shares of a and b."""
    return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])


def update_discriminator(
    config: TrainConfig, state: State, grads: Params, loss: jax.Array, fake_logits: jax.Array, real_logits: jax.Array
) -> State:
    """Adam's step, and what is counted and measured."""
    state = step_discriminator(config, state, grads)
    state = {**state, "ada": report_signs(state["ada"], real_logits)}
    signs = {"real_sign": jnp.mean(jnp.sign(real_logits)), "fake_sign": jnp.mean(jnp.sign(fake_logits))}
    return add_statistics(state, loss_d=jnp.mean(loss), grad_norm_d=norm(grads), **signs)


# ---------------------------------------------------------------- R1


def r1_phase(run: Verbs, state: State, batch: Batch) -> State:
    """One Adam step of D on the R1 penalty of the same real pictures: every `r1_interval` steps."""
    drawn = run.once(draws, state["nimg"], purpose="augment_r1")
    found = r1_gradients(run, state, *batch, *run.split(drawn))
    return run.once(update_discriminator_by_r1, state, *found, consume=True)


def r1_gradients(
    run: Verbs, state: State, real: PerMicrobatch, real_c: PerMicrobatch, drawn: PerMicrobatch
) -> tuple[Params, PerMicrobatch, PerMicrobatch]:
    """Gradients of the R1 loss; of each microbatch the mean penalty and the logits."""
    return run.each(r1_microbatch, (_only(state, "d", "ada", "nimg"),), (real, real_c, drawn))


def r1_microbatch(
    config: TrainConfig, state: State, real: jax.Array, c: Labels, drawn: Draws | None
) -> tuple[Params, jax.Array, jax.Array]:
    """Gradients of the R1 loss; the mean penalty and the logits."""

    def objective(d: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        d = with_frozen_layers(config, d)
        penalty, logits = losses.r1_penalty(
            lambda images: logits_of(config, d, seen(config, state, images, drawn), c), to_float(real)
        )
        return losses.r1_loss(penalty, config.r1_gamma, config.r1_interval), (jnp.mean(penalty), logits)

    grads, more = jax.grad(objective, has_aux=True)(state["d"])
    return grads, *more


def update_discriminator_by_r1(
    config: TrainConfig, state: State, grads: Params, penalty: jax.Array, real_logits: jax.Array
) -> State:
    """Adam's step, and what is counted and measured."""
    state = step_discriminator(config, state, grads, r1=True)
    state = {**state, "ada": report_signs(state["ada"], real_logits)}
    return add_statistics(state, r1_penalty=jnp.mean(penalty), grad_norm_r1=norm(grads), r1_steps=jnp.float32(1))


# ---------------------------------------------------------------- the end of a step


def end_phase(run: Verbs, state: State) -> tuple[State, jax.Array]:
    """The weight average, ADA's p and the counters; and a copy of the image counter that no later step takes over."""
    return run.once(end_step, state, consume=True)


def end_step(config: TrainConfig, state: State) -> tuple[State, jax.Array]:
    """As `end_phase`."""
    state = move_average(config, state)
    step, ada = state["step"] + 1, state["ada"]
    if config.augment.enabled:
        ada = adjust_ada(ada, step, config.ada_target, config.batch_size, config.ada_interval, config.ada_kimg)
    state = add_statistics(state, steps=jnp.float32(1))
    state = {**state, "ada": ada, "step": step, "nimg": state["nimg"] + config.batch_size}
    return state, state["nimg"] + 0


PHASES: dict[str, Callable[..., Any]] = {
    "G": generator_phase,
    "D": discriminator_phase,
    "R1": r1_phase,
    "end": end_phase,
}
OF_PICTURES = ("D", "R1")  # phases that take real pictures too


def phases_of_step(config: TrainConfig, number: int) -> tuple[str, ...]:
    """The phases of step `number` (from 0), in their order."""
    return ("G", "D", "R1", "end") if number % config.r1_interval == 0 else ("G", "D", "end")


# ---------------------------------------------------------------- what phases share


def generator_of(config: TrainConfig, g: Params, buffers: Params) -> Generator:
    """The generator with these arrays."""
    return bind(definition(Generator, config.generator), g, buffers)


def logits_of(config: TrainConfig, d: Params, images: jax.Array, c: Labels, group_size: int | None = None) -> jax.Array:
    """D's logits of pictures as it sees them. `group_size` of the minibatch standard deviation; None: as configured."""
    network: Discriminator = bind(definition(Discriminator, config.discriminator), d)
    return network(images, c, group_size=group_size, remat=config.recomputes)


def seen(config: TrainConfig, state: State, images: jax.Array, drawn: Draws | None) -> jax.Array:
    """Pictures on their way into D: blurred while training begins, then augmented with strength p."""
    sigma = losses.blur_sigma(state["nimg"], config.blur_init_sigma, config.blur_fade_kimg)
    images = losses.blur(images, sigma, config.blur_init_sigma if config.blur_fade_kimg > 0 else 0.0)
    return images if drawn is None else apply(images, state["ada"]["p"], drawn, config=config.augment)


def to_float(images: jax.Array) -> jax.Array:
    """uint8 pictures as float32 in -1..1; others as they are."""
    return images.astype(jnp.float32) / 127.5 - 1 if images.dtype == jnp.uint8 else images


def latents(config: TrainConfig, nimg: jax.Array, purpose: str) -> jax.Array:
    """z float32[N, z_dim] of the whole batch."""
    return jax.random.normal(purpose_key(config.seed, purpose, nimg), (config.batch_size, config.generator.z_dim))


def fake_labels(config: TrainConfig) -> Labels:
    """Labels of the pictures to generate: none, as no data set has labels yet."""
    if config.generator.c_dim:
        raise ValueError(f"generator.c_dim={config.generator.c_dim}: training draws no labels; only 0 is allowed")
    return None


def draws(config: TrainConfig, nimg: jax.Array, purpose: str) -> Draws | None:
    """The augmentation's random numbers for the whole batch; None: nothing is augmented."""
    if not config.augment.enabled:
        return None
    side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
    return draw(config.augment, purpose_key(config.seed, purpose, nimg), config.batch_size, side, side, channels)


def _only(state: State, *names: str) -> State:
    return {name: state[name] for name in names}


def _of_layer(state: State, layer: str) -> tuple[Params, Params]:
    """The parameters and buffers of one layer of synthesis, by their names in that layer."""
    start = f"synthesis.{layer}."
    g, buffers = (
        {n.removeprefix(start): x for n, x in state[part].items() if n.startswith(start)} for part in ("g", "g_buffers")
    )
    return g, buffers
