"""upfirdn2d and its convenience forms: golden values, and the properties a linear resampler must have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg3x import ops
from sg3x.ops.fir import separable_terms
from sg3x.ops.upfirdn2d import upfirdn2d

IMPLS = ["banded", "shifted", "reference"]


def test_golden_cases(golden):
    g = golden("upfirdn2d")
    for case in g.meta["cases"]:
        prefix = case["prefix"]
        options = {k: case[k] for k in ("up", "down", "padding", "gain", "flip_filter") if k in case}
        f = g[prefix + "f"] if case["f_shape"] else None
        function = getattr(ops, case["function"])
        x = jnp.asarray(g.nhwc(prefix + "x"))
        y, vjp = jax.vjp(lambda x: function(x, f, **options), x)
        g.check(y, prefix + "y")
        if prefix + "dx" in g:
            g.check(vjp(jnp.asarray(g.nhwc(prefix + "dy")))[0], prefix + "dx")
        if case["function"] == "upfirdn2d":
            for impl in IMPLS:
                g.check(upfirdn2d(x, f, **options, impl=impl), prefix + "y")


resampling = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(-2, 6), st.integers(-2, 6), st.integers(1, 5), st.booleans()
)


@settings(max_examples=25, deadline=None)
@given(resampling, st.integers(0, 2**31 - 1))
def test_formulations_agree_and_are_adjoint(options, seed):
    up, down, p0, p1, taps, flip = options
    rng = np.random.RandomState(seed)
    x = jnp.asarray(rng.randn(2, 12, 10, 2), jnp.float32)  # cropped by two on each side, still as large as 6 taps
    f = rng.randn(taps, taps + 1).astype(np.float32)

    def apply(x, impl):
        return upfirdn2d(x, f, up=up, down=down, padding=[p0, p1, p1, p0], gain=1.3, flip_filter=flip, impl=impl)

    for impl in ("banded", "shifted"):
        y, vjp = jax.vjp(lambda x, impl=impl: apply(x, impl), x)
        np.testing.assert_allclose(y, apply(x, "reference"), atol=2e-5)
        dy = jnp.asarray(rng.randn(*y.shape), jnp.float32)
        assert float(jnp.vdot(y, dy)) == pytest.approx(float(jnp.vdot(x, vjp(dy)[0])), rel=1e-3, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_filtering_commutes_with_shifts_inside_the_picture(taps, dx, dy):
    rng = np.random.RandomState(taps)
    x = np.zeros((1, 20, 20, 1), np.float32)
    x[:, 6:12, 6:12] = rng.randn(1, 6, 6, 1)
    f = rng.randn(taps).astype(np.float32)
    moved = np.roll(x, (dy, dx), axis=(1, 2))
    expected = np.roll(ops.filter2d(jnp.asarray(x), f), (dy, dx), axis=(1, 2))
    np.testing.assert_allclose(ops.filter2d(jnp.asarray(moved), f), expected, atol=1e-5)


def test_a_radial_filter_needs_at_most_half_its_taps_as_separable_terms():
    f = ops.design_lowpass_filter(12, 5.0, 12.0, 32, radial=True)
    terms = separable_terms(tuple(map(tuple, f.astype(np.float64))))
    assert len(terms) <= 6
    np.testing.assert_allclose(sum(np.outer(v, h) for v, h in terms), f, atol=1e-8)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_signal_shorter_than_the_filter_is_refused(impl):
    with pytest.raises(ValueError, match="enlarge padding"):
        upfirdn2d(jnp.zeros((1, 2, 2, 1)), np.ones(4, np.float32), impl=impl)


@pytest.mark.parametrize("options", [{"up": 0}, {"down": [1, 2, 3]}, {"padding": [1, 2, 3]}, {"impl": "fast"}])
def test_bad_options_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        upfirdn2d(jnp.zeros((1, 4, 4, 1)), None, **options)


@pytest.mark.parametrize("impl", ["banded", "shifted"])
def test_gradients_of_gradients_exist_and_agree_with_the_definitions(impl):
    rng = np.random.RandomState(0)
    x = jnp.asarray(rng.randn(1, 8, 6, 2), jnp.float32)
    f = rng.randn(4).astype(np.float32)

    def penalty(x, impl):
        grad = jax.grad(lambda x: jnp.sum(jnp.square(upfirdn2d(x, f, down=2, padding=1, impl=impl)) ** 2))(x)
        return jnp.sum(jnp.square(grad))

    expected = jax.grad(penalty)(x, "reference")
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(jax.grad(penalty)(x, impl) / scale, expected / scale, atol=1e-5)
