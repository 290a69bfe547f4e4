"""`remat: layers`: the same step up to rounding, with less kept for the gradients; `none`: nothing is computed again."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.augment import AugmentConfig
from sg3x.training.execute.compiled import in_one_go
from sg3x.training.execute.verbs import PerMicrobatch
from sg3x.training.execute.whole import Whole
from sg3x.training.objective import phases
from sg3x.training.objective.phases import Batch
from sg3x.training.state import TrainConfig, init_state

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=4, num_critical=1, channel_base=128, channel_max=8, margin_size=2)
D = DiscriminatorConfig(16, channel_base=128, channel_max=8)
KEPT = TrainConfig(G, D, batch_size=4, r1_gamma=1.0, augment=AugmentConfig.preset("blit"))
AGAIN = replace(KEPT, remat="layers")
Z = jax.ShapeDtypeStruct((4, 4), np.float32)


def gradients(config, state):
    """G's, D's and R1's gradients."""
    random = np.random.RandomState(0)
    z, real = random.randn(4, 4).astype(np.float32), random.randn(4, 16, 16, 3).astype(np.float32) / 2
    run, none = Whole(config), PerMicrobatch(None)
    fake, real = PerMicrobatch(real[::-1]), PerMicrobatch(real)

    @jax.jit
    def all_three(state):
        g, _ = phases.generator_gradients(run, state, z, None, None)
        d, *_ = phases.discriminator_gradients(run, state, fake, none, real, none, none, none)
        r1, *_ = phases.r1_gradients(run, state, real, none, none)
        return {"g": g, "d": d, "r1": r1}

    return all_three(state)


def test_gradients_are_equal_up_to_rounding():
    state = init_state(G, D, 0)
    kept, again = gradients(KEPT, state), gradients(AGAIN, state)
    for part, grads in kept.items():
        for name, value in grads.items():
            size = float(np.max(np.abs(value)))
            np.testing.assert_allclose(again[part][name], value, atol=1e-5 * size + 1e-9, err_msg=f"{part} {name}")
        assert sum(float(np.sum(np.abs(v))) for v in grads.values()) > 0


@pytest.mark.parametrize("phase", ["G", "R1"])
def test_layers_are_computed_again_only_when_asked(phase):
    state = jax.eval_shape(lambda: init_state(G, D, 0))
    batch = () if phase == "G" else (Batch(jax.ShapeDtypeStruct((4, 16, 16, 3), np.uint8)),)
    text = {c.remat: str(jax.make_jaxpr(in_one_go(c, phase))(state, *batch)) for c in (KEPT, AGAIN)}
    assert "checkpoint" not in text["none"] and "remat" not in text["none"]
    assert "checkpoint" in text["layers"] or "remat" in text["layers"]


def kept_bytes(config):
    """What G's forward pass leaves for its backward pass, weights included."""

    def residuals(g, buffers, z):
        def draw(g):
            network = phases.generator_of(config, g, buffers)
            return network.synthesis(network.mapping(z), remat=config.recomputes)

        return jax.vjp(draw, g)[1]

    state = jax.eval_shape(lambda: init_state(G, D, 0))
    leaves = jax.tree.leaves(jax.eval_shape(residuals, state["g"], state["g_buffers"], Z))
    return sum(x.size * x.dtype.itemsize for x in leaves)


def test_less_is_kept_for_the_generators_gradient():
    assert kept_bytes(AGAIN) < 0.6 * kept_bytes(KEPT)
