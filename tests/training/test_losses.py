"""Losses, optimiser settings, averages and schedules against the reference's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.training.objective import losses
from sg3x.training.objective.average import ema_beta
from sg3x.training.objective.optimizers import adam_state, adam_step, generator_optimizer, lazy_adam_options


def test_logistic_losses(golden):
    g = golden("losses")
    fake, real = jnp.asarray(g["logits/gen"]), jnp.asarray(g["logits/real"])
    x = jnp.asarray(g["logits/x"])
    g.check(jax.vmap(losses.generator_loss)(x)[:, None], "logits/g_loss")
    g.check(jax.grad(losses.generator_loss)(x), "logits/g_grad")
    g.check(jax.vmap(losses.generator_loss)(fake)[:, None], "logits/g_loss_batch")
    g.check(jax.grad(losses.generator_loss)(fake), "logits/g_grad_batch")
    g.check(jax.vmap(losses.discriminator_loss)(fake, real)[:, None], "logits/d_loss_batch")
    g.check(jax.grad(losses.discriminator_loss)(fake, real), "logits/d_grad_fake_batch")
    scale = jax.grad(lambda p: losses.discriminator_loss(p * fake, p * real))(1.0)
    g.check(scale, "logits/d_grad_scale")


def test_adam_settings_for_lazy_regularisation(golden):
    for case in golden("losses").meta["optimizer"]:
        lr, betas = lazy_adam_options(case["base_lr"], tuple(case["base_betas"]), case["reg_interval"])
        assert lr == pytest.approx(case["lr"], rel=1e-12)
        assert betas == pytest.approx(case["betas"], rel=1e-12)


def test_average_decay(golden):
    for case in golden("losses").meta["ema_beta"]:
        beta = ema_beta(case["cur_nimg"], case["batch_size"], case["ema_kimg"], case["ema_rampup"])
        assert float(beta) == pytest.approx(case["beta"], rel=1e-5, abs=1e-9)


def test_blur_schedule(golden):
    for case in golden("losses").meta["blur_schedule"]:
        sigma = losses.blur_sigma(case["cur_nimg"], case["blur_init_sigma"], case["blur_fade_kimg"])
        assert float(sigma) == pytest.approx(case["sigma"], abs=1e-6)


@pytest.mark.parametrize("sigma", ["0.3", "0.5", "1", "2.6", "10"])
def test_blur(golden, sigma):
    g = golden("losses")
    images = jnp.asarray(g.nhwc("blur/img"))
    g.check(losses.blur(images, jnp.float32(sigma), 10.0), f"blur/sigma{sigma}")


def test_blur_with_fixed_length_compiles_once_for_all_widths():
    traced = []

    @jax.jit
    def blur(images, sigma):
        traced.append(1)
        return losses.blur(images, sigma, 4.0)

    images = jnp.ones((1, 16, 16, 3))
    for sigma in (4.0, 2.0, 0.1):
        blur(images, jnp.float32(sigma))
    assert len(traced) == 1


def test_r1_penalty_of_a_linear_discriminator_is_its_squared_norm():
    w = jnp.asarray(np.random.RandomState(0).randn(4, 4, 3), jnp.float32)
    penalty, logits = losses.r1_penalty(lambda x: jnp.einsum("nhwc,hwc->n", x, w)[:, None], jnp.ones((5, 4, 4, 3)))
    np.testing.assert_allclose(penalty, np.full(5, np.sum(np.square(w))), rtol=1e-5)
    assert logits.shape == (5, 1)


def test_adam_is_the_textbook_one():
    from sg3x.networks import DiscriminatorConfig, GeneratorConfig
    from sg3x.training.state import TrainConfig

    config = TrainConfig(GeneratorConfig(16), DiscriminatorConfig(16), 8, 1.0, g_lr=0.1)
    optimizer = generator_optimizer(config)
    params, state, v = {"x": jnp.float32(1.0)}, adam_state({"x": jnp.float32(1.0)}), 0.0
    for step, gradient in enumerate((0.3, -0.2, 0.5), start=1):
        expected = float(params["x"])
        v = 0.99 * v + 0.01 * gradient**2
        expected -= 0.1 * gradient / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
        params, state = adam_step(optimizer, params, {"x": jnp.float32(gradient)}, state)
        assert float(params["x"]) == pytest.approx(expected, rel=1e-5)
