"""What every resampler must do, for any sizes, factors and filters: gain, adjoints, shifts."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg3x import ops

seeds = st.integers(0, 2**31 - 1)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 32), st.floats(0.05, 0.95), st.floats(0.05, 2.0), st.sampled_from([8.0, 16.0, 64.0]), st.booleans()
)
def test_low_pass_filters_have_unit_gain_and_are_symmetric(numtaps, cutoff, width, fs, radial):
    if radial and numtaps % 2:
        numtaps += 1
    taps = ops.design_lowpass_filter(numtaps, cutoff * fs / 2, width * fs / 2, fs, radial=radial)
    assert taps.dtype == np.float32 and taps.shape == ((numtaps, numtaps) if radial else (numtaps,))
    assert taps.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-6)
    if radial:
        np.testing.assert_allclose(taps, taps.T, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 4), st.integers(5, 9), st.integers(5, 9), st.integers(1, 9), seeds)
def test_downsampling_is_upsamplings_adjoint(factor, height, width, numtaps, seed):
    """<upsample(x), y> = factor^2 <x, downsample(y)>, with the filter turned round: upsample2d keeps brightness."""
    rng = np.random.RandomState(seed)
    f = rng.randn(factor + 2 * numtaps).astype(np.float32)  # as many taps on both sides of a block of samples
    x = rng.randn(1, height, width, 2).astype(np.float32)
    y = rng.randn(1, height * factor, width * factor, 2).astype(np.float32)
    up = np.asarray(ops.upsample2d(jnp.asarray(x), f, up=factor), np.float64)
    down = np.asarray(ops.downsample2d(jnp.asarray(y), f, down=factor, flip_filter=True), np.float64)
    left, right = np.vdot(up, y), factor**2 * np.vdot(x, down)
    assert left == pytest.approx(right, abs=1e-5 * np.linalg.norm(up) * np.linalg.norm(y))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), seeds)
def test_resampling_commutes_with_shifts(up, down, numtaps, steps, seed):
    """A picture moved by whole input steps comes out moved by the same distance, where borders play no part."""
    rng = np.random.RandomState(seed)
    f = rng.randn(numtaps).astype(np.float32)
    x = np.zeros((1, 40, 40, 1), np.float32)
    x[:, 16:22, 16:22] = rng.randn(1, 6, 6, 1)
    moved = np.roll(x, (down * steps, down * steps), axis=(1, 2))  # down input samples: `up` whole output samples
    options = {"up": up, "down": down, "padding": numtaps}
    still, shifted = (np.asarray(ops.upfirdn2d(jnp.asarray(v), f, **options)) for v in (x, moved))
    np.testing.assert_allclose(shifted, np.roll(still, (up * steps, up * steps), axis=(1, 2)), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(6, 9), st.integers(6, 9))
def test_a_constant_stays_a_constant_away_from_the_borders(factor, height, width):
    f = ops.design_lowpass_filter(6 * factor, 1.0, 1.0, 4.0 * factor)
    x = jnp.ones((1, height, width, 1))
    rows = np.asarray(ops.upsample2d(x, f, up=factor))[0, 3 * factor : -3 * factor, 3 * factor : -3 * factor, 0]
    means = rows[: rows.shape[0] // factor * factor, : rows.shape[1] // factor * factor]
    means = means.reshape(means.shape[0] // factor, factor, means.shape[1] // factor, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(means, 1, atol=1e-5)
