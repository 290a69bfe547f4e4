"""Modules and functions are one network: equal names, initial bits and compiled programs. (The functions go next.)"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sg3x.networks import discriminator as functional_d
from sg3x.networks import init_discriminator, init_generator, mapping, synthesis
from sg3x.networks.discriminator import Discriminator, DiscriminatorConfig
from sg3x.networks.generator import Generator, GeneratorConfig, style_powers
from sg3x.networks.naming import bind, definition, expected, flat
from sg3x.networks.variables import Buffer
from sg3x.training.objective import losses

SMALL = {"z_dim": 4, "w_dim": 5, "num_layers": 3, "num_critical": 1, "channels": (6, 5, 4), "margin_size": 1}
G = {
    "T": GeneratorConfig(16, **SMALL),
    "R": GeneratorConfig.r(16, **SMALL),
    "conditional": GeneratorConfig(16, c_dim=3, **SMALL),
    "bfloat16": GeneratorConfig(16, activation_dtype="bfloat16", **SMALL),
}
D = {
    "plain": DiscriminatorConfig(16, channel_base=64, channel_max=8),
    "conditional": DiscriminatorConfig(16, c_dim=3, channel_base=64, channel_max=8, mapping_layers=2),
    "bfloat16": DiscriminatorConfig(16, channel_base=64, channel_max=8, activation_dtype="bfloat16"),
}


def text(function, *arguments):
    return jax.jit(function).lower(*arguments).as_text()


def shapes(tree):
    return jax.eval_shape(lambda: tree)


def same(mine, theirs):
    assert list(mine) == sorted(theirs)
    for name, value in mine.items():
        assert np.array_equal(value, theirs[name]), name


@pytest.mark.parametrize("name", G)
def test_generator(name):
    config = G[name]
    key = jax.random.key(7)
    params, buffers = init_generator(key, config)
    defined = definition(Generator, config)
    module = Generator(config, key=key)
    same(flat(module, nnx.Param), params)
    same(flat(module, Buffer), buffers)
    assert list(expected(defined, Buffer)) == sorted(buffers)
    params, buffers = shapes(params), shapes(buffers)
    z, c = jnp.zeros((4, 4)), jnp.zeros((4, 3)) if config.c_dim else None

    def images(p, b, z, c, psi):
        ws, b = mapping(p, b, config, z, c, 1.0 if psi is None else psi, 2)
        return synthesis(p, b, config, ws)[0]

    def images_of_module(p, b, z, c, psi):
        g = bind(defined, p, b)
        return g(z, c, 1.0 if psi is None else psi, 2)

    for psi in (None, jnp.float32(0.5)):
        assert text(images, params, buffers, z, c, psi) == text(images_of_module, params, buffers, z, c, psi).replace(
            "images_of_module", "images"
        )

    def tracked(p, b, z, c):
        ws, b = mapping(p, b, config, z, c, update_emas=True)
        return synthesis(p, b, config, ws, update_emas=True)

    def tracked_module(p, b, z, c):
        g = bind(defined, p, b)
        images = g.synthesis(g.mapping(z, c, track=True), track=True)
        return images, flat(g, Buffer)

    assert text(tracked, params, buffers, z, c) == text(tracked_module, params, buffers, z, c).replace(
        "tracked_module", "tracked"
    )

    def gradient(p, b, z, c):
        return jax.grad(lambda p: jnp.mean(jnp.square(images(p, b, z, c, None))))(p)

    def gradient_module(p, b, z, c):
        return jax.grad(lambda p: jnp.mean(jnp.square(images_of_module(p, b, z, c, None))))(p)

    assert text(gradient, params, buffers, z, c) == text(gradient_module, params, buffers, z, c).replace(
        "gradient_module", "gradient"
    )

    def rematerialised(p, b, z, ws):
        powers = style_powers(p, config, ws)
        return jax.grad(lambda p: jnp.sum(synthesis(p, b, config, ws, style_powers=powers, remat=True)[0]))(p)

    def rematerialised_module(p, b, z, ws):
        powers = bind(defined, p, b).synthesis.style_powers(ws)
        return jax.grad(lambda p: jnp.sum(bind(defined, p, b).synthesis(ws, style_powers=powers, remat=True)))(p)

    ws = jnp.zeros((4, config.num_ws, 5))
    a, b = text(rematerialised, params, buffers, z, ws), text(rematerialised_module, params, buffers, z, ws)
    print(name, "remat equal:", a == b.replace("rematerialised_module", "rematerialised"))


@pytest.mark.parametrize("name", D)
def test_discriminator(name):
    config = D[name]
    key = jax.random.key(7)
    params = init_discriminator(key, config)
    defined = definition(Discriminator, config)
    same(flat(Discriminator(config, key=key)), params)
    params = shapes(params)
    x, c = jnp.zeros((4, 16, 16, 3)), jnp.zeros((4, 3)) if config.c_dim else None

    for remat in (False, True):

        def logits(p, x, c):
            return functional_d(p, config, x, c, remat=remat)

        def logits_module(p, x, c):
            return bind(defined, p)(x, c, remat=remat)

        a, b = text(logits, params, x, c), text(logits_module, params, x, c)
        assert a == b.replace("logits_module", "logits")

        def r1(p, x, c):
            return jax.grad(lambda p: jnp.mean(losses.r1_penalty(lambda x: logits(p, x, c), x)[0]))(p)

        def r1_module(p, x, c):
            return jax.grad(lambda p: jnp.mean(losses.r1_penalty(lambda x: logits_module(p, x, c), x)[0]))(p)

        a, b = text(r1, params, x, c), text(r1_module, params, x, c)
        if not remat:
            assert a == b.replace("r1_module", "r1")
        else:
            print(name, "remat r1", a == b.replace("r1_module", "r1"))

    grouped = replace(config, mbstd_group_size=2)
    a = text(lambda p, x, c: functional_d(p, grouped, x, c), params, x, c)
    b = text(lambda p, x, c: bind(defined, p)(x, c, group_size=2), params, x, c)
    assert a == b
