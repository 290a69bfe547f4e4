"""The discriminator against golden logits, gradients and R1 penalties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.interop.nvidia import discriminator_from_state_dict, to_reference_layout
from sg3x.networks import Discriminator, DiscriminatorConfig, bind, definition, flat
from sg3x.networks.discriminator import minibatch_stddev
from sg3x.ops.conv2d import FORMULATIONS

NOT_OPTIONS = ("prefix", "batches", "r1_gamma", "lazy_gain")
CASES = [(0, 8), (0, 3), (1, 4)]


@pytest.mark.parametrize("impl", FORMULATIONS)
@pytest.mark.parametrize("index, batch", CASES)
def test_logits_gradients_and_r1(golden, index, batch, impl, monkeypatch):
    monkeypatch.setenv("SG3X_CONV", impl)
    g = golden("discriminator")
    case = g.meta["cases"][index]
    p, q = case["prefix"], f"{case['prefix']}n{batch}/"
    D = discriminator_from_state_dict(g.group(p + "state/"), **{k: v for k, v in case.items() if k not in NOT_OPTIONS})
    defined = definition(Discriminator, D.config)
    img = jnp.asarray(g.nhwc(p + "img")[:batch])
    c = jnp.asarray(g[p + "c"][:batch]) if case["c_dim"] else None

    def logits(params, img):
        return bind(defined, params)(img, c)

    def r1(params):
        grad = jax.grad(lambda img: jnp.sum(logits(params, img)))(img)
        penalty = jnp.sum(jnp.square(grad), axis=(1, 2, 3))
        loss = penalty * (case["r1_gamma"] / 2)
        return case["lazy_gain"] * jnp.mean(loss), (penalty, loss)

    @jax.jit
    def everything(params, img):
        y, vjp = jax.vjp(logits, params, img)
        return y, vjp(jnp.asarray(g[q + "dlogits"])), jax.grad(r1, has_aux=True)(params)

    y, (grads, dimg), (r1_grads, (penalty, loss)) = everything(flat(D), img)
    g.check(y, q + "logits")
    g.check(dimg, q + "dimg")
    g.check(penalty, q + "r1_penalty")
    g.check(loss, q + "r1_loss")
    for kind, values in (("grad", grads), ("r1grad", r1_grads)):
        values = {k: to_reference_layout(k, np.asarray(v)) for k, v in values.items()}
        for name in g.group(f"{q}{kind}/"):
            value = values[name]
            g.check(value.transpose(0, 2, 3, 1) if value.ndim == 4 else value, f"{q}{kind}/{name}")
        norms = [np.linalg.norm(values[n].astype(np.float64)) for n in g.meta["param_names"][p]]
        g.check(np.array(norms), f"{q}{kind}norm")


def test_minibatch_deviation_groups_are_strided():
    x = jnp.asarray(np.random.RandomState(0).randn(8, 4, 4, 6), jnp.float32)
    y = minibatch_stddev(x, 4, 1)[..., -1]
    assert float(jnp.abs(y[0] - y[2]).max()) == 0  # samples 0, 2, 4, 6 share a group
    assert float(jnp.abs(y[0] - y[1]).max()) > 0


def test_a_batch_that_does_not_split_into_groups_is_named():
    with pytest.raises(ValueError, match="batch of 6"):
        minibatch_stddev(jnp.zeros((6, 4, 4, 2)), 4, 1)


def test_wrong_picture_shape_is_named():
    config = DiscriminatorConfig(16, channel_max=8)
    with pytest.raises(ValueError, match="expected"):
        Discriminator(config, key=jax.random.key(0))(jnp.zeros((2, 8, 8, 3)))


def test_labels_of_another_shape_are_named():
    config = DiscriminatorConfig(16, c_dim=3, channel_max=8)
    with pytest.raises(ValueError, match=r"labels c have shape \(1, 3\), expected \[2, 3\]"):
        Discriminator(config, key=jax.random.key(0))(jnp.zeros((2, 16, 16, 3)), jnp.zeros((1, 3)))
