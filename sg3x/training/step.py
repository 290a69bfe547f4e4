"""One training step: G's phase, D's phase, R1 every so often, then the weight average and ADA's p.

The order, the gains and what moves when are those of the StyleGAN3 training loop; phases take every random input as an
argument, so that tests can feed recorded ones.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sg3x.networks.discriminator import LOGIT_BIAS, Discriminator
from sg3x.networks.generator import Generator
from sg3x.networks.naming import Params, bind, definition, flat
from sg3x.networks.variables import Buffer
from sg3x.training import losses
from sg3x.training.ada import adjust_ada, report_signs
from sg3x.training.augment import augment_images
from sg3x.training.errors import TERMS
from sg3x.training.layout import spread
from sg3x.training.state import (
    State,
    TrainConfig,
    adam_step,
    discriminator_optimizer,
    frozen_in_d,
    generator_optimizer,
    purpose_key,
    split_logit_bias,
)

# What happens to pictures on their way into D: blur and augmentation.
View = Callable[[jax.Array], jax.Array]


def generator_of(config: TrainConfig, g: Params, buffers: Params) -> Generator:
    """The generator with these arrays."""
    return bind(definition(Generator, config.generator), g, buffers)


def generate(
    config: TrainConfig, g: Params, buffers: Params, z: jax.Array, c: jax.Array | None, track: bool = False
) -> tuple[jax.Array, Params]:
    """Pictures of latents z, and the buffers (moved when `track`: D's main phase only)."""
    network = generator_of(config, g, buffers)
    images = network.synthesis(network.mapping(z, c, track=track), track=track, remat=config.recomputes)
    return images, flat(network, Buffer)


def judge(
    config: TrainConfig, d: Params, images: jax.Array, c: jax.Array | None, group_size: int | None = None
) -> jax.Array:
    """D's logits of pictures as it sees them. `group_size` of the minibatch standard deviation; None: as configured."""
    network: Discriminator = bind(definition(Discriminator, config.discriminator), d)
    return network(images, c, group_size=group_size, remat=config.recomputes)


def generator_gradients(
    config: TrainConfig, state: State, z: jax.Array, c: jax.Array | None, view: View
) -> tuple[Params, jax.Array]:
    """Gradients of G's loss, and the loss."""

    def objective(g: Params) -> jax.Array:
        images, _ = generate(config, g, state["g_buffers"], z, c)
        return losses.generator_loss(judge(config, state["d"], view(images), c))

    loss, grads = jax.value_and_grad(objective)(state["g"])
    return grads, loss


def discriminator_gradients(
    config: TrainConfig, d: Params, fake: jax.Array, fake_c: jax.Array | None, real: jax.Array,
    real_c: jax.Array | None, view_fake: View, view_real: View,
) -> tuple[Params, tuple[jax.Array, jax.Array, jax.Array]]:  # fmt: skip
    """Gradients of D's loss; loss, fake and real logits. G's pictures carry no gradient.

    D sees both kinds as one batch, in turns: its weights' gradients are one product each, and one all-reduce. Of 2N samples
    sample m is in group m mod (2N / G) of the minibatch standard deviation: groups of one kind, the same as N and N would give.
    """
    pictures = _in_turns(view_fake(fake), view_real(real))
    if (fake_c is None) != (real_c is None):
        raise ValueError("fake_c and real_c: labels of both kinds of pictures or of neither")
    c = None if fake_c is None or real_c is None else _in_turns(fake_c, real_c)
    group = min(config.discriminator.mbstd_group_size or len(fake), len(fake))

    def objective(d: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        logits = judge(config, _frozen(config, d), pictures, c, group)
        fake_logits, real_logits = logits[0::2], logits[1::2]
        return losses.discriminator_loss(fake_logits, real_logits), (fake_logits, real_logits)

    (loss, logits), grads = jax.value_and_grad(objective, has_aux=True)(d)
    return grads, (loss, *logits)


def _in_turns(a: jax.Array, b: jax.Array) -> jax.Array:
    """a[0], b[0], a[1], b[1], ...: a device's share of the result is made of its shares of a and b."""
    return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])


def r1_gradients(
    config: TrainConfig, d: Params, real: jax.Array, c: jax.Array | None, view: View
) -> tuple[Params, tuple[jax.Array, jax.Array]]:
    """Gradients of interval * mean(gamma/2 * penalty); the mean penalty and the real logits."""

    def objective(d: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        d = _frozen(config, d)
        penalty, logits = losses.r1_penalty(lambda images: judge(config, d, view(images), c), real)
        mean = jnp.mean(penalty)
        return mean * (config.r1_gamma / 2) * config.r1_interval, (mean, logits)

    grads, aux = jax.grad(objective, has_aux=True)(d)
    return grads, aux


def _frozen(config: TrainConfig, d: Params) -> Params:
    """D with its frozen layers taken for constants: nothing is computed for their gradients, which are zero."""
    names = frozen_in_d(config)
    return {name: jax.lax.stop_gradient(p) if name in names else p for name, p in d.items()}


def apply_generator(config: TrainConfig, state: State, grads: Params) -> State:
    g, opt = adam_step(generator_optimizer(config), state["g"], grads, state["g_opt"])
    return {**state, "g": g, "g_opt": opt}


def apply_discriminator(config: TrainConfig, state: State, grads: Params, r1: bool = False) -> State:
    """An Adam step of D; in the R1 phase its last bias stays as it is, moments and count included. Frozen layers stay too."""
    optimizer = discriminator_optimizer(config)
    params, parts = split_logit_bias(state["d"]), split_logit_bias(grads)
    opt = dict(state["d_opt"])
    params["rest"], opt["rest"] = adam_step(optimizer, params["rest"], parts["rest"], opt["rest"])
    if not r1:
        bias = parts["logit_bias"]
        params["logit_bias"], opt["logit_bias"] = adam_step(optimizer, params["logit_bias"], bias, opt["logit_bias"])
    d = {**params["rest"], LOGIT_BIAS: params["logit_bias"][LOGIT_BIAS]}
    d |= {name: state["d"][name] for name in frozen_in_d(config) if name in d}
    return {**state, "d": {name: d[name] for name in state["d"]}, "d_opt": opt}


def apply_average(config: TrainConfig, state: State) -> State:
    """Moves the averaged generator; its buffers are the training ones, never averaged."""
    if config.ema_decay is not None:
        beta = jnp.float32(config.ema_decay)
    else:
        assert config.ema_kimg is not None
        beta = losses.ema_beta(state["nimg"], config.batch_size, config.ema_kimg, config.ema_rampup)
    averaged = {name: p + beta * (state["g_ema"][name] - p) for name, p in state["g"].items()}
    return {**state, "g_ema": averaged}


def generator_phase(config: TrainConfig, state: State) -> State:
    """One Adam step of G on fresh latents."""
    z = latents(config, state, "z_g")
    grads, loss = generator_gradients(config, state, z, None, _view(config, state, "augment_g"))
    state = apply_generator(config, state, grads)
    return measure(state, {"loss_g": loss, "grad_norm_g": norm(grads)})


def discriminator_phase(config: TrainConfig, state: State, real: jax.Array) -> State:
    """One Adam step of D on fresh latents and real pictures uint8[N, R, R, C]; G's running means move here."""
    z = latents(config, state, "z_d")
    fake, buffers = generate(config, state["g"], state["g_buffers"], z, None, track=True)
    views = _view(config, state, "augment_fake"), _view(config, state, "augment_real")
    grads, (loss, fake_logits, real_logits) = discriminator_gradients(
        config, state["d"], jax.lax.stop_gradient(fake), None, to_float(real), None, *views
    )
    state = apply_discriminator(config, {**state, "g_buffers": buffers}, grads)
    return finish_discriminator_phase(state, grads, loss, fake_logits, real_logits)


def finish_discriminator_phase(
    state: State, grads: Params, loss: jax.Array, fake_logits: jax.Array, real_logits: jax.Array
) -> State:
    """What is counted and measured after D's main step, from the logits of the whole batch."""
    state = {**state, "ada": report_signs(state["ada"], real_logits)}
    signs = {"real_sign": jnp.mean(jnp.sign(real_logits)), "fake_sign": jnp.mean(jnp.sign(fake_logits))}
    return measure(state, {"loss_d": loss, "grad_norm_d": norm(grads), **signs})


def r1_phase(config: TrainConfig, state: State, real: jax.Array) -> State:
    """One Adam step of D on the R1 penalty of the same real pictures: every `r1_interval` steps."""
    view = _view(config, state, "augment_r1")
    grads, (penalty, real_logits) = r1_gradients(config, state["d"], to_float(real), None, view)
    state = apply_discriminator(config, state, grads, r1=True)
    return finish_r1_phase(state, grads, penalty, real_logits)


def finish_r1_phase(state: State, grads: Params, penalty: jax.Array, real_logits: jax.Array) -> State:
    """What is counted and measured after an R1 step."""
    state = {**state, "ada": report_signs(state["ada"], real_logits)}
    return measure(state, {"r1_penalty": penalty, "grad_norm_r1": norm(grads), "r1_steps": jnp.float32(1)})


def end_phase(config: TrainConfig, state: State) -> State:
    """The weight average, ADA's p and the counters."""
    state = apply_average(config, state)
    step = state["step"] + 1
    ada = state["ada"]
    if config.augment.enabled:
        ada = adjust_ada(ada, step, config.ada_target, config.batch_size, config.ada_interval, config.ada_kimg)
    state = measure(state, {"steps": jnp.float32(1)})
    return {**state, "ada": ada, "step": step, "nimg": state["nimg"] + config.batch_size}


def to_float(images: jax.Array) -> jax.Array:
    """uint8 pictures as float32 in -1..1."""
    return images.astype(jnp.float32) / 127.5 - 1


def latents(config: TrainConfig, state: State, purpose: str) -> jax.Array:
    """z float32[N, z_dim] of the whole batch, spread over the mesh that is being compiled for."""
    return spread(jax.random.normal(key(config, state, purpose), (config.batch_size, config.generator.z_dim)))


def key(config: TrainConfig, state: State, purpose: str) -> jax.Array:
    """The random key of one purpose at this step."""
    return purpose_key(config.seed, purpose, state["nimg"])


def blur_view(config: TrainConfig, state: State) -> View:
    """The blur alone, at this step's width."""
    sigma = losses.blur_sigma(state["nimg"], config.blur_init_sigma, config.blur_fade_kimg)
    longest = config.blur_init_sigma if config.blur_fade_kimg > 0 else 0.0
    return lambda images: losses.blur(images, sigma, longest)


def _view(config: TrainConfig, state: State, purpose: str) -> View:
    blurred, drawn_from = blur_view(config, state), key(config, state, purpose)

    def view(images: jax.Array) -> jax.Array:
        return augment_images(blurred(images), state["ada"]["p"], drawn_from, config=config.augment)

    return view


def norm(grads: Params) -> jax.Array:
    """Euclidean norm of all gradients together."""
    return jnp.sqrt(sum((jnp.sum(jnp.square(g)) for g in grads.values()), jnp.float32(0)))


def measure(state: State, measured: dict[str, jax.Array]) -> State:
    """Adds to the sums since the last line of the history, and notes the first term that is not finite."""
    totals = {
        name: total + measured[name] if name in measured else total for name, total in state["statistics"].items()
    }
    for number, name in enumerate(TERMS):
        if name in measured:
            first = (totals["trouble_step"] == 0) & ~jnp.isfinite(measured[name])
            totals["trouble_step"] = jnp.where(first, state["step"] + 1, totals["trouble_step"])
            totals["trouble_term"] = jnp.where(first, number, totals["trouble_term"])
    return {**state, "statistics": totals}
