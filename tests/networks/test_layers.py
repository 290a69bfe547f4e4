"""Modulated convolution, mapping network and Fourier input against golden values and gradients."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from sg3x.networks import modulated_conv2d, winograd
from sg3x.networks.convolution import FORMULATIONS, MANY_CHANNELS, conv2d
from sg3x.networks.fourier_input import fourier_input
from sg3x.networks.layers import _sum_over_taps
from sg3x.networks.mapping import apply_mapping, truncate
from sg3x.networks.winograd import strided_winograd_conv, winograd_conv
from sg3x.training.execute.compiled import data_mesh


def hwio(w):
    return jnp.asarray(w.transpose(2, 3, 1, 0))


@pytest.mark.parametrize("impl", FORMULATIONS)
def test_modulated_convolution_golden_cases(golden, impl, monkeypatch):
    monkeypatch.setenv("SG3X_CONV", impl)
    g = golden("modulated_conv2d")
    for case in g.meta["cases"]:
        p = case["prefix"]
        gain = jnp.asarray(g[p + "input_gain"]) if case["has_input_gain"] else None
        arguments = jnp.asarray(g.nhwc(p + "x")), hwio(g[p + "w"]), jnp.asarray(g[p + "s"])
        y, vjp = jax.vjp(
            lambda x, w, s, case=case, gain=gain: modulated_conv2d(
                x, w, s, demodulate=case["demodulate"], padding=case["padding"], input_gain=gain
            ),
            *arguments,
        )
        g.check(y, p + "y")
        dx, dw, ds = vjp(jnp.asarray(g.nhwc(p + "dy")))
        g.check(dx, p + "dx")
        g.check(dw.transpose(3, 0, 1, 2), p + "dw")  # [o, ky, kx, i]: the check moves golden's axis 1 last
        g.check(ds, p + "ds")


@pytest.mark.parametrize("padding, stride, kernel", [(2, 1, 3), (1, 1, 3), (0, 1, 3), (0, 2, 3), (0, 1, 1), (1, 2, 3)])
def test_convolution_formulations_agree_to_second_order(padding, stride, kernel):
    rng = np.random.RandomState(0)
    x = jnp.asarray(rng.randn(2, 8, 9, 3), jnp.float32)
    w = jnp.asarray(rng.randn(kernel, kernel, 3, 4), jnp.float32)

    assert_same_to_second_order(
        *(partial(conv2d, padding=padding, stride=stride, impl=i) for i in FORMULATIONS), x, w, 1e-3
    )


def assert_same_to_second_order(conv, other, x, w, atol):
    def penalty(conv, x, w):  # like R1: a gradient inside a gradient
        inner = jax.grad(lambda x, w: jnp.sum(jnp.sin(conv(x, w))), argnums=(0, 1))(x, w)
        return sum(jnp.sum(jnp.square(gradient)) for gradient in inner)

    results = [jax.jit(jax.value_and_grad(partial(penalty, c), argnums=(0, 1)))(x, w) for c in (conv, other)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol), *results)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("padding, size", [(2, (6, 7)), (1, (5, 8)), (0, (6, 6))])
def test_winograd_convolution_agrees_to_second_order(padding, size, tile, monkeypatch):
    monkeypatch.setattr(winograd, "LARGE_PIXELS", 0 if tile == 4 else 10**9)
    rng = np.random.RandomState(0)
    x = jnp.asarray(rng.randn(2, *size, 3), jnp.float32)
    w = jnp.asarray(rng.randn(3, 3, 3, 4), jnp.float32)

    conv, direct = partial(winograd_conv, padding=padding), partial(conv2d, padding=padding, impl="lax")
    np.testing.assert_allclose(conv(x, w), direct(x, w), atol=2e-5)
    monkeypatch.setattr("sg3x.networks.convolution.MANY_CHANNELS", 3)
    np.testing.assert_array_equal(conv2d(x, w, padding, impl="matmul"), conv(x, w), "it is chosen")
    assert_same_to_second_order(conv, direct, x, w, {2: 2e-3, 4: 8e-3}[tile])  # of gradients up to 360


@pytest.mark.parametrize("padding, size", [(0, (11, 12)), (1, (8, 17)), (2, (7, 10))])
def test_strided_winograd_convolution_agrees_to_second_order(padding, size):
    rng = np.random.RandomState(0)
    x = jnp.asarray(rng.randn(2, *size, 3), jnp.float32)
    w = jnp.asarray(rng.randn(3, 3, 3, 4), jnp.float32)

    conv, direct = (
        partial(strided_winograd_conv, padding=padding),
        partial(conv2d, padding=padding, stride=2, impl="lax"),
    )
    np.testing.assert_allclose(conv(x, w), direct(x, w), atol=2e-5)
    assert_same_to_second_order(conv, direct, x, w, 4e-3)


def test_strided_winograd_convolution_is_chosen_for_many_channels_and_pixels(monkeypatch):
    monkeypatch.setattr("sg3x.networks.convolution.MANY_CHANNELS", 3)
    monkeypatch.setattr("sg3x.networks.convolution.LARGE_PIXELS", 6 * 7)
    monkeypatch.setattr("sg3x.networks.convolution.strided_winograd_conv", lambda x, w, padding: "Winograd")

    def conv(height, channels, stride=2):
        return conv2d(jnp.zeros((1, height, 15, 3)), jnp.zeros((3, 3, 3, channels)), stride=stride, impl="matmul")

    assert isinstance(conv(13, 4), str)
    for other in (conv(12, 4), conv(13, 2), conv(13, 4, stride=3)):
        assert isinstance(other, jax.Array)


@pytest.mark.parametrize("stride, side", [(1, 34), (2, 67)])
def test_each_device_convolves_its_own_pictures_by_winograd(stride, side, monkeypatch):
    monkeypatch.setattr("sg3x.networks.convolution.MANY_CHANNELS", 3)
    mesh = data_mesh(4)
    x = jax.ShapeDtypeStruct((8, side, side, 3), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec("data")))
    w = jax.ShapeDtypeStruct((3, 3, 3, 4), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))

    def gradients(x, w):
        return jax.grad(lambda x, w: jnp.sum(jnp.sin(conv2d(x, w, 0, stride, "matmul"))), argnums=(0, 1))(x, w)

    with jax.set_mesh(mesh):
        text = jax.jit(gradients).lower(x, w).compile().as_text()
    collectives = re.findall(r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\(", text)
    assert collectives == ["all-reduce"], "of the kernel's gradient"
    assert "winograd.py" in text


@pytest.mark.parametrize(
    "scheme", [winograd.SMALL, winograd.LARGE, *winograd.PHASES, winograd.toom_cook((0, 1, -1, 2), 3)]
)
def test_toom_cook_schemes_correlate(scheme):
    rng = np.random.RandomState(0)
    d, w = rng.randn(scheme.products), rng.randn(scheme.taps)
    outputs, kernel, inputs = map(np.asarray, scheme)
    found = outputs.T @ ((kernel @ w) * (inputs @ d))
    np.testing.assert_allclose(found, np.correlate(d, w, "valid"), atol=1e-12)


@pytest.mark.parametrize(
    "conv, side, stride, bound",
    [(winograd_conv, 16, 1, 6e-7), (winograd_conv, 34, 1, 1.8e-6), (strided_winograd_conv, 67, 2, 9e-7)],
)
def test_winograd_rounding_is_what_its_docstring_says(conv, side, stride, bound):
    """Twice, six and three times the 2.5e-7 of a sum tap by tap, with a fifth more for other machines."""
    rng = np.random.RandomState(0)
    x, w = rng.randn(1, side, side, 256).astype(np.float32), rng.randn(3, 3, 256, 8).astype(np.float32)
    wide, along = x.astype(np.float64), [slice(i, side - 2 + i, stride) for i in range(3)]
    exact = sum(wide[:, rows, columns] @ w[i, j] for i, rows in enumerate(along) for j, columns in enumerate(along))
    error = np.asarray(conv(jnp.asarray(x), jnp.asarray(w), 0)) - exact
    assert np.sqrt(np.mean(error**2)) < bound * exact.std()


def test_squares_of_wide_kernels_are_summed_over_all_taps():
    squares = np.random.RandomState(0).rand(3, 3, MANY_CHANNELS, MANY_CHANNELS).astype(np.float32)
    np.testing.assert_allclose(_sum_over_taps(jnp.asarray(squares)), squares.sum((0, 1)), rtol=1e-6)


def test_modulated_convolution_names_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        modulated_conv2d(jnp.zeros((1, 4, 4, 3)), jnp.zeros((3, 3, 2, 5)), jnp.ones((1, 3)))


def test_mapping_golden_cases(golden):
    g = golden("mapping")
    for case in g.meta["cases"]:
        p = case["prefix"]
        params = {
            f"mapping.{k}": jnp.asarray(v.T if v.ndim == 2 else v)
            for k, v in g.group(p + "state/").items()
            if k != "w_avg"
        }
        z = jnp.asarray(g[p + "z"])
        c = jnp.asarray(g[p + "c"]) if case["c_dim"] else None
        layers, lr, num_ws = case.get("num_layers", 2), case.get("lr_multiplier", 0.01), case["num_ws"]
        w_avg = jnp.asarray(g[p + "w_avg_before"])

        def ws_of(params, z, psi, cutoff, w_avg=w_avg, c=c, layers=layers, lr=lr, num_ws=num_ws):
            w = apply_mapping(params, z, c, layers, lr)
            return truncate(jnp.repeat(w[:, None], num_ws, axis=1), w_avg, psi, cutoff)

        ws, vjp = jax.vjp(lambda params, z, f=ws_of: f(params, z, 1.0, None), params, z)
        g.check(ws, p + "ws_psi1")
        g.check(ws_of(params, z, 0.5, None), p + "ws_psi05")
        g.check(ws_of(params, z, 0.7, case["truncation_cutoff"]), p + "ws_psi07_cut")
        g.check(ws_of(params, z, 0.0, None), p + "ws_psi0")
        grads, dz = vjp(jnp.asarray(g[p + "dws"]))
        g.check(dz, p + "dz")
        for name, grad in grads.items():
            key = p + "grad/" + name.removeprefix("mapping.")
            g.check(grad.T if grad.ndim == 2 else grad, key)


def test_fourier_input_golden_cases(golden):
    g = golden("synthesis_input")
    for case in g.meta["cases"]:
        p = case["prefix"]
        state = {f"synthesis.input.{k}": jnp.asarray(v) for k, v in g.group(p + "state/").items()}
        params = {k: v.T if v.ndim == 2 else v for k, v in state.items() if ".weight" in k or ".bias" in k}

        def features(params, w, state=state, case=case):
            return fourier_input(
                params, state, w, size=tuple(case["size_wh"]), sampling_rate=case["sampling_rate"],
                bandwidth=case["bandwidth"], transform=state["synthesis.input.transform"],
            )  # fmt: skip

        y, vjp = jax.vjp(features, params, jnp.asarray(g[p + "w"]))
        g.check(y, p + "y")
        grads, dw = vjp(jnp.asarray(g.nhwc(p + "dy")))
        g.check(dw, p + "dw")
        g.check(grads["synthesis.input.weight"].T, p + "d_weight")
        g.check(grads["synthesis.input.affine.weight"].T, p + "d_affine_weight")
        g.check(grads["synthesis.input.affine.bias"], p + "d_affine_bias")
