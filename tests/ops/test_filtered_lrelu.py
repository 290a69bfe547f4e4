"""filtered_lrelu: every formulation against the same golden values and gradients."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.ops import design_lowpass_filter, filtered_lrelu
from sg3x.ops.filtered_lrelu import FORMULATIONS


@pytest.mark.parametrize("impl", FORMULATIONS)
def test_golden_cases(golden, impl):
    g = golden("filtered_lrelu")
    for case in g.meta["cases"]:
        p = case["prefix"]
        options = {k: case[k] for k in ("up", "down", "padding", "gain", "slope", "clamp", "flip_filter")}
        fu = g[p + "fu"] if case["fu"] else None
        fd = g[p + "fd"] if case["fd"] else None
        x = jnp.asarray(g.nhwc(p + "x"))
        b = jnp.asarray(g[p + "b"]) if case["bias"] else None
        y, vjp = jax.vjp(lambda x, b: filtered_lrelu(x, fu, fd, b, impl=impl, **options), x, b)
        g.check(y, p + "y")
        dx, db = vjp(jnp.asarray(g.nhwc(p + "dy")))
        g.check(dx, p + "dx")
        if case["bias"]:
            g.check(db, p + "db")


def test_radial_filters_agree_between_formulations():
    x = jnp.asarray(np.random.RandomState(0).randn(2, 16, 16, 3), jnp.float32)
    fu = design_lowpass_filter(12, 4.0, 8.0, 32)
    fd = design_lowpass_filter(12, 5.0, 8.0, 32, radial=True)
    outputs = []
    for impl in FORMULATIONS:

        def f(x, impl=impl):
            return filtered_lrelu(x, fu, fd, up=2, down=2, padding=11, clamp=2.0, impl=impl)

        outputs.append((f(x), jax.grad(lambda x: jnp.sum(jnp.sin(f(x))))(x)))
    expected = outputs[FORMULATIONS.index("reference")]
    for found in outputs:
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


@pytest.mark.parametrize("impl", FORMULATIONS)
def test_slopes_at_exactly_zero_and_at_the_clamp_are_the_references(impl):
    x = jnp.asarray([-4.0, -1.0, 0.0, 1.0, 2.0, 3.0]).reshape(1, 2, 3, 1)  # gain 1: 2 is the clamp itself
    slopes = jax.grad(lambda x: jnp.sum(filtered_lrelu(x, gain=1.0, slope=0.2, clamp=2.0, impl=impl)))(x)
    np.testing.assert_allclose(slopes.reshape(-1), [0.2, 0.2, 0.2, 1.0, 1.0, 0.0], rtol=1e-6)


def test_the_environment_overrides_the_formulation(monkeypatch):
    monkeypatch.setenv("SG3X_FILTERED_LRELU", "nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        filtered_lrelu(jnp.zeros((1, 4, 4, 1)))


def test_bfloat16_stays_bfloat16_and_close():
    x = jnp.asarray(np.random.RandomState(0).randn(2, 12, 12, 4), jnp.float32)
    f = design_lowpass_filter(12, 4.0, 8.0, 32)
    exact = filtered_lrelu(x, f, f, up=2, down=2, padding=11)
    half = filtered_lrelu(x.astype(jnp.bfloat16), f, f, up=2, down=2, padding=11)
    assert half.dtype == jnp.bfloat16
    assert float(jnp.abs(half.astype(jnp.float32) - exact).max()) < 0.05 * float(jnp.abs(exact).max())


# By the case chunks of 4, 4, 4 channels, of 8 and 4, or of all 12.
@pytest.mark.parametrize("row_bytes", [2**10, 2**11])
@pytest.mark.parametrize(
    "options",
    [
        {"up": 2, "down": 2, "padding": 11},
        {"up": 4, "down": 2, "padding": [14, 13, 3, 20]},
        {"up": 2, "down": 4, "padding": [5, 6, -3, 12]},
        {"up": 3, "down": 2, "padding": [-7, 4, 9, -5]},
        {"up": 1, "down": 3, "padding": 8},
        {"up": 8, "down": 1, "padding": [12, -20, 3, 3]},
    ],
)
def test_pictures_that_are_cut_into_chunks_agree_with_the_formula(monkeypatch, row_bytes, options):
    module = importlib.import_module("sg3x.ops.filtered_lrelu.chunked")
    monkeypatch.setattr(module, "ROW_BYTES", row_bytes)
    monkeypatch.setattr(module, "LINE", 4)
    rng = np.random.RandomState(0)
    x = jnp.asarray(rng.randn(2, 21, 57, 12), jnp.float32)
    f = design_lowpass_filter(6 if options["up"] == 8 else 12, 4.0, 8.0, 32)  # 6: fewer taps than `up`
    results = []
    for impl in ("reference", "chunked"):
        y, pull = jax.vjp(lambda x, impl=impl: filtered_lrelu(x, f, f, impl=impl, clamp=0.7, **options), x)
        dy = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        results.append((y, pull(dy)[0]))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-5)
