"""Whole generators, T and R, with and without labels: pictures, gradients, truncation, transform, EMA updates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sg3x.interop.nvidia import generator_from_state_dict, to_reference_layout
from sg3x.networks import Buffer, Generator, GeneratorConfig, bind, definition, flat

NOT_OPTIONS = ("prefix", "batch", "truncation_psi", "truncation_cutoff", "act_channels")
CASES = [(file, i) for file in ("generator_t", "generator_r") for i in range(2)]


@pytest.fixture(params=CASES, ids=lambda p: f"{p[0]}-{p[1]}")
def case(request, golden):
    g = golden(request.param[0])
    settings = g.meta["cases"][request.param[1]]
    p = settings["prefix"]
    G = generator_from_state_dict(g.group(p + "state/"), **{k: v for k, v in settings.items() if k not in NOT_OPTIONS})
    z, c = jnp.asarray(g[p + "z"]), (jnp.asarray(g[p + "c"]) if settings["c_dim"] else None)
    return g, p, settings, G, z, c


def test_pictures(case):
    g, p, settings, G, z, c = case
    g.check(G.mapping(z, c)[:, 0], p + "ws")
    g.check(G(z, c), p + "img")
    truncated = G(z, c, truncation_psi=settings["truncation_psi"], truncation_cutoff=settings["truncation_cutoff"])
    moved = G.synthesis(G.mapping(z, c), transform=g[p + "user_transform"])
    for mine, key in ((truncated, p + "img_psi"), (moved, p + "img_transformed")):
        g.check(mine[: len(g[key])], key)  # some golden arrays keep only the first pictures


def test_gradients(case):
    g, p, _, G, z, c = case

    defined, buffers = definition(Generator, G.config), flat(G, Buffer)

    @jax.jit
    def gradients(params):
        def objective(params):
            return jnp.sum(bind(defined, params, buffers)(z, c) * jnp.asarray(g.nhwc(p + "cot")))

        return jax.grad(objective)(params)

    grads = {k: to_reference_layout(k, np.asarray(v)) for k, v in gradients(flat(G, nnx.Param)).items()}
    for name in g.group(p + "grad/"):
        grad = grads[name]
        g.check(grad.transpose(0, 2, 3, 1) if grad.ndim == 4 else grad, f"{p}grad/{name}")
    names = g.meta["grad_param_names"][p]
    norms = np.array([np.linalg.norm(grads[n].astype(np.float64)) for n in names])
    g.check(norms, p + "gradnorm")
    assert set(names) == set(grads)


def test_ema_updates(case):
    g, p, _, G, z, c = case

    for step in ("ema1/", "ema2/"):
        img = G.synthesis(G.mapping(z, c, track=True), track=True)
        if step == "ema1/":
            g.check(img[: len(g[p + "img_ema"])], p + "img_ema")
        buffers = flat(G, Buffer)
        for name in g.group(p + step):
            g.check(buffers[name], p + step + name)


def test_labels_are_required_where_the_network_has_them(case):
    *_, settings, G, z, _ = case
    if settings["c_dim"]:
        with pytest.raises(ValueError, match="labels c"):
            G(z)


def test_a_negative_cutoff_is_refused_without_truncation_too():
    config = GeneratorConfig.t(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)
    with pytest.raises(ValueError, match="truncation_cutoff=-1"):
        Generator(config, key=jax.random.key(0)).mapping(jnp.zeros((1, 4)), truncation_cutoff=-1)


def test_a_state_dict_that_does_not_fit_names_the_differing_keys(golden):
    g = golden("generator_t")
    settings = {k: v for k, v in g.meta["cases"][0].items() if k not in NOT_OPTIONS}
    with pytest.raises(ValueError, match=r"missing synthesis\.L14_32_3\.weight|unexpected|shape"):
        generator_from_state_dict(g.group("u/state/"), **{**settings, "num_layers": 13})


def test_bfloat16_stays_close_to_float32():
    config = GeneratorConfig.t(32, z_dim=32, w_dim=32, num_layers=6, channel_base=512, channel_max=24)
    half = GeneratorConfig(**{**config.to_dict(), "activation_dtype": "bfloat16"})
    G = Generator(config, key=jax.random.key(0))
    z = jax.random.normal(jax.random.key(1), (4, 32))
    exact, rough = G(z), bind(definition(Generator, half), flat(G))(z)
    assert rough.dtype == jnp.float32
    error = float(jnp.abs(rough - exact).max() / jnp.abs(exact).max())
    assert 0 < error < 0.05
