"""One call of every phase of the loss against the reference's: logits, losses, gradients, moving averages; Adam itself."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.interop.nvidia import discriminator_from_state_dict, generator_from_state_dict, to_reference_layout
from sg3x.training.execute.verbs import PerMicrobatch
from sg3x.training.execute.whole import Whole
from sg3x.training.objective import losses
from sg3x.training.objective.ada import init_ada
from sg3x.training.objective.optimizers import (
    adam_state,
    adam_step,
    discriminator_optimizer,
    generator_optimizer,
    split_logit_bias,
)
from sg3x.training.objective.phases import discriminator_gradients, generated, generator_gradients, r1_gradients
from sg3x.training.state import TrainConfig

NONE = PerMicrobatch(None)


@pytest.fixture(scope="module")
def phases(golden):
    g = golden("losses")
    s = g.meta["phase"]
    G = generator_from_state_dict(g.group("phase/G/"), **s["G"])
    D = discriminator_from_state_dict(g.group("phase/D/"), **s["D"])
    config = TrainConfig(
        G.config, D.config, 4, s["r1_gamma"], r1_interval=int(s["gain"]["Dreg"]), blur_init_sigma=s["blur_init_sigma"],
        blur_fade_kimg=s["blur_fade_kimg"],
    )  # fmt: skip
    state = {"g": G.params, "g_buffers": G.buffers, "d": D.params, "ada": init_ada(), "nimg": jnp.int32(s["cur_nimg"])}
    inputs = [jnp.asarray(g["phase/" + name]) for name in ("gen_z", "gen_c", "real_c")]
    real = jnp.asarray(g.nhwc("phase/real_img"))
    sigma = losses.blur_sigma(s["cur_nimg"], s["blur_init_sigma"], s["blur_fade_kimg"])
    assert float(sigma) == pytest.approx(s["blur_sigma"], rel=1e-6)
    return g, config, state, inputs, real


def check_gradients(g, phase, grads):
    grads = {name: to_reference_layout(name, np.asarray(value)) for name, value in grads.items()}
    for name in g.group(f"phase/{phase}/grad/"):
        value = grads[name]
        g.check(value.transpose(0, 2, 3, 1) if value.ndim == 4 else value, f"phase/{phase}/grad/{name}")
    names = g.meta["phase_param_names"][phase]
    g.check([np.linalg.norm(grads[name].astype(np.float64)) for name in names], f"phase/{phase}/gradnorm")


def check_buffers(g, phase, buffers):
    for name in g.group(f"phase/{phase}/buf/"):
        g.check(buffers[name], f"phase/{phase}/buf/{name}")


@pytest.mark.parametrize("phase", ["Gmain", "Gboth"])
def test_generator_phase(phases, phase):
    g, config, state, (z, c, _), _ = phases
    grads = jax.jit(lambda state: generator_gradients(Whole(config), state, z, c, None)[0])(state)
    check_gradients(g, phase, grads)
    check_buffers(g, phase, state["g_buffers"])  # they move in D's phase only


def test_labels_of_one_kind_of_pictures_alone_are_an_error(phases):
    _, config, state, (_, c, real_c), real = phases
    pictures = PerMicrobatch(real)
    for labels in ((c, None), (None, real_c)):
        fake_c, real_c = map(PerMicrobatch, labels)
        with pytest.raises(ValueError, match="both kinds of pictures or of neither"):
            discriminator_gradients(Whole(config), state, pictures, fake_c, pictures, real_c, NONE, NONE)


def test_discriminator_phases(phases):
    g, config, state, (z, c, real_c), real = phases
    real, labels = PerMicrobatch(real), PerMicrobatch(real_c)

    @jax.jit
    def main(state):
        run = Whole(config)
        fake, moved = generated(run, state, z, c)
        grads, *more = discriminator_gradients(run, state, fake, PerMicrobatch(c), real, labels, NONE, NONE)
        return grads, [one.value for one in more], {**state["g_buffers"], **moved}

    def r1(config):
        def compute(state):
            grads, *more = r1_gradients(Whole(config), state, real, labels, NONE)
            return grads, [one.value for one in more]

        return jax.jit(compute)(state)

    grads, (_, fake_logits, real_logits), buffers = main(state)
    r1_grads, (penalty, r1_logits) = r1(config)
    for phase in ("Dmain", "Dboth"):
        log = f"phase/{phase}/log/"
        g.check(fake_logits, log + "scores_fake")
        g.check(real_logits, log + "scores_real")
        g.check(jnp.sign(real_logits), log + "signs_real")
        g.check(jax.nn.softplus(fake_logits) + jax.nn.softplus(-real_logits), log + "D_loss")
        check_buffers(g, phase, buffers)
    g.check(r1_logits, "phase/Dreg/log/scores_real")
    assert float(penalty) == pytest.approx(float(g["phase/Dreg/log/r1_penalty"].mean()), rel=1e-5)
    check_buffers(g, "Dreg", state["g_buffers"])
    check_gradients(g, "Dmain", grads)
    check_gradients(g, "Dreg", r1_grads)
    both = jax.tree.map(jnp.add, grads, r1(replace(config, r1_interval=1))[0])
    check_gradients(g, "Dboth", both)


@pytest.mark.parametrize("network, make", [("D", discriminator_optimizer), ("G", generator_optimizer)])
def test_adam_follows_the_references_steps(golden, network, make):
    g = golden("losses")
    config = TrainConfig(None, None, 1, 0.0)
    params, state = {"x": jnp.asarray(g["adam/p0"])}, None
    state = adam_state(params)
    found = []
    for grads in g["adam/grads_clean"]:
        params, state = adam_step(make(config), params, {"x": jnp.asarray(grads)}, state)
        found.append(np.asarray(params["x"]))
    g.check(np.stack(found), f"adam/params_{network}")
    assert set(split_logit_bias({"b4.out.bias": 1, "x": 2})) == {"rest", "logit_bias"}
