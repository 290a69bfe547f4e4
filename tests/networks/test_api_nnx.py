"""A user's own NNX and JAX code takes our networks as they are: everything on one tiny generator and discriminator."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import sg3x
from sg3x.networks import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, flat
from sg3x.networks.store import save_generator

CONFIG = GeneratorConfig(16, z_dim=4, w_dim=5, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)
Z = np.random.RandomState(0).randn(2, 4)
LAYER = "L1_16_4"


@pytest.fixture(scope="module")
def G():
    return Generator(CONFIG, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def D():
    return Discriminator(DiscriminatorConfig(16, channel_base=32, channel_max=4), key=jax.random.key(0))


@pytest.fixture(scope="module")
def images(G):
    return np.asarray(G(Z))


def test_one_source_of_the_initial_weights():
    with pytest.raises(ValueError, match=r"key=jax\.random\.key\(0\), or rngs=nnx\.Rngs\(0\)"):
        Generator(CONFIG)


def test_parts_are_modules_and_make_the_whole(G, images):
    ws = G.mapping(Z)
    assert ws.shape == (2, CONFIG.num_ws, 5) and images.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(G.synthesis(ws), images)
    moved = G.synthesis(ws, transform=np.eye(3) + 0.1 * np.eye(3, k=2))
    assert np.abs(moved - images).max() > 1e-3
    assert float(getattr(G.synthesis, LAYER).magnitude_ema[...]) == 1.0


def test_names_are_attribute_paths(G):
    for name, value in flat(G).items():
        found = G
        for part in name.split("."):
            found = getattr(found, part)
        np.testing.assert_array_equal(found[...], value)


def test_split_merge_state_tabulate_display(G, images, capsys):
    graphdef, params, buffers = nnx.split(G, nnx.Param, ...)
    np.testing.assert_array_equal(nnx.merge(graphdef, params, buffers)(Z), images)
    assert set(nnx.state(G)) == {"mapping", "synthesis"}
    table = nnx.tabulate(G, Z, console_kwargs={"width": 200})
    assert "SynthesisLayer" in table and f"synthesis/{LAYER}" in table
    nnx.display(G)
    assert "MappingNetwork" in capsys.readouterr().out
    assert "SynthesisNetwork" in repr(G)


def test_a_copy_is_its_own(G, images):
    other = copy.deepcopy(G)
    other.synthesis(other.mapping(Z * 3, track=True), track=True)
    assert np.abs(other.w_avg).max() > 0 and not np.abs(G.w_avg).max()
    np.testing.assert_array_equal(G(Z), images)


def test_jit_vmap_and_grad_around_it(G, images):
    @jax.jit
    def everything(g, z):
        alone = jax.vmap(lambda w: g.synthesis(w[None])[0])(g.mapping(z))
        return g(z), alone, jax.grad(lambda g: jnp.mean(jnp.square(g(z))))(g)

    found, alone, gradient = everything(G, jnp.float32(Z))
    np.testing.assert_allclose(found, images, atol=1e-5)
    # vmap draws each picture by itself: its styles are normalised alone.
    np.testing.assert_allclose(alone[:1], G.synthesis(G.mapping(Z)[:1]), atol=1e-4)
    assert all(np.isfinite(x).all() for x in flat(gradient, nnx.Param).values())
    assert float(jnp.abs(gradient.mapping.fc0.weight[...]).max()) > 0


def test_projection_finds_a_picture_again(G, images):
    target = images[:1]
    loss = jax.jit(jax.value_and_grad(lambda ws: jnp.mean(jnp.square(G.synthesis(ws) - target))))
    ws, losses = G.mapping(Z[1:]), []
    for _ in range(5):
        value, gradient = loss(ws)
        losses.append(float(value))
        ws = ws - 0.3 * gradient / jnp.linalg.norm(gradient)
    assert min(losses[1:]) < losses[0]


def test_lora_on_one_layer(G, images):
    adapted = copy.deepcopy(G)
    layer = getattr(adapted.synthesis, LAYER)
    layer.affine = nnx.LoRA(5, 2, 4, base_module=layer.affine, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(adapted(Z), images)  # it begins as nothing
    before = flat(adapted, nnx.Param)
    optimizer = nnx.Optimizer(adapted, optax.adam(1e-1), wrt=nnx.LoRAParam)

    @nnx.jit
    def step(model, optimizer):
        objective = lambda m: jnp.mean(jnp.square(m(Z) - 1))  # noqa: E731
        loss, grads = nnx.value_and_grad(objective, argnums=nnx.DiffState(0, nnx.LoRAParam))(model)
        optimizer.update(model, grads)
        return loss

    losses = [float(step(adapted, optimizer)) for _ in range(3)]
    assert losses[-1] < losses[0]
    lora = flat(adapted, nnx.LoRAParam)
    assert set(lora) == {f"synthesis.{LAYER}.affine.{name}" for name in ("lora_a", "lora_b")}
    for name, value in flat(adapted, nnx.All(nnx.Param, nnx.Not(nnx.LoRAParam))).items():
        np.testing.assert_array_equal(value, before[name])


def test_the_users_own_loop(G, D):
    G = copy.deepcopy(G)
    optimizer = nnx.Optimizer(G, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(G, optimizer):
        loss, grads = nnx.value_and_grad(lambda g: jnp.mean(jax.nn.softplus(-D(g(Z)))))(G)
        optimizer.update(G, grads)
        return loss

    losses = [float(step(G, optimizer)) for _ in range(3)]
    assert losses[-1] < losses[0]


def test_several_devices_draw_what_one_does(G):
    z = np.random.RandomState(1).randn(8, 4)
    spread = sg3x.on_devices(G, 4)
    found = spread(z, truncation_psi=0.5)
    assert len(found.devices()) == 4
    alone = sg3x.on_devices(G, 1)
    expected = np.concatenate([alone(z[i : i + 2], truncation_psi=0.5) for i in range(0, 8, 2)])
    np.testing.assert_array_equal(found, expected)


def test_a_traced_truncation_is_the_given_one(G):
    other = copy.deepcopy(G)
    other.mapping.w_avg[...] = jnp.arange(5.0)
    traced = jax.jit(lambda psi: other.mapping(Z, truncation_psi=psi))
    for psi in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(traced(psi), other.mapping(Z, truncation_psi=psi), atol=1e-6)


# As users may call them: plain numpy, in float64.
RNG = np.random.RandomState(0)
X, TAPS, W, S = RNG.randn(2, 8, 8, 3), np.ones(4), RNG.randn(3, 3, 3, 5), RNG.randn(2, 3)
OPERATORS = {
    "upfirdn2d": lambda x: sg3x.ops.upfirdn2d(x, TAPS, up=2),
    "filtered_lrelu": lambda x: sg3x.ops.filtered_lrelu(x, TAPS, TAPS, np.ones(3), up=2, down=2, padding=3),
    "modulated_conv2d": lambda x: sg3x.networks.modulated_conv2d(x, W, S, padding=1, input_gain=np.ones(3)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_under_a_strict_callers_settings(name):
    expected = OPERATORS[name](X)
    with jax.numpy_rank_promotion("raise"), jax.transfer_guard("disallow"):
        found = OPERATORS[name](X)
    np.testing.assert_array_equal(found, expected)
    with jax.numpy_rank_promotion("raise"):
        jax.grad(lambda x: jnp.sum(OPERATORS[name](x)))(jnp.float32(X))


def test_networks_under_a_strict_callers_settings(G, D, images, tmp_path):
    save_generator(tmp_path / "model", G)
    kept = {name: getattr(jax.config, name) for name in ("jax_numpy_rank_promotion", "jax_transfer_guard")}
    with jax.numpy_rank_promotion("raise"), jax.transfer_guard("disallow"):
        loaded = sg3x.load_generator(tmp_path / "model")
        found, truncated, logits = loaded(Z), loaded(Z, truncation_psi=0.5), D(images)
    np.testing.assert_array_equal(found, images)
    assert np.isfinite(truncated).all() and np.isfinite(logits).all()
    assert {name: getattr(jax.config, name) for name in kept} == kept


@pytest.mark.parametrize("name", [*OPERATORS, "D"])
def test_integer_pictures_are_refused(name, D):
    call, shape = (D, (2, 16, 16, 3)) if name == "D" else (OPERATORS[name], X.shape)
    with pytest.raises(ValueError, match=r"is uint8; allowed are floats.* x / 127\.5 - 1"):
        call(np.zeros(shape, np.uint8))


SWITCHES = ("SG3X_FILTERED_LRELU=reference", "SG3X_UPFIRDN2D=reference", "SG3X_CONV=lax")


@pytest.mark.parametrize("name", [*OPERATORS, "G", "D"])
def test_forward_mode_says_which_switches_help_and_they_do(name, G, D, monkeypatch):
    z, pictures = jnp.float32(Z), jnp.ones((2, 16, 16, 3))
    call, x = {"G": (G, z), "D": (D, pictures)}.get(name) or (OPERATORS[name], jnp.float32(X))
    with pytest.raises(TypeError) as caught:
        jax.jvp(lambda x: call(x), (x,), (x,))
    assert all(switch in str(caught.value) for switch in SWITCHES)
    for switch in SWITCHES:
        monkeypatch.setenv(*switch.split("="))
    jax.clear_caches()  # they are read when a program is traced
    _, tangent = jax.jvp(lambda x: call(x), (x,), (x,))
    assert np.isfinite(tangent).all()
    monkeypatch.undo()
    jax.clear_caches()
