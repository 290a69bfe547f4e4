"""Affine resampling against a plain float64 twin that pads and upsamples as the text says, and the fixed filters."""

from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.training.augment.corrupt import band_matrices
from sg3x.training.augment.resample import distinct, resample, upsampling_matrix
from sg3x.training.augment.wavelets import sym2_filter_bank, sym6


def reference_resample(image, matrix, margins=None):
    """image float64[h, w]: reflect padding by (left, right, top, bottom), up 2x, bilinear, down 2x; naive and slow.

    Without margins: the farthest excursion of the corners plus 6, at most size - 1, as the published pipe pads.
    """
    height, width = image.shape
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    if margins is None:
        corners = np.array([[sx * center[0], sy * center[1], 1] for sx in (-1, 1) for sy in (-1, 1)]) @ matrix[:2].T
        far = np.stack([-corners.min(0), corners.max(0)], axis=1) + 6 - center[:, None]
        margins = np.ceil(np.clip(far, 0, [[width - 1], [height - 1]])).astype(int).ravel()
    left, right, top, bottom = margins
    padded = np.pad(image, ((top, bottom), (left, right)), mode="reflect")
    up = reduce(lambda x, axis: np.apply_along_axis(upsample, axis, x), (0, 1), padded)
    # Every other sample lies on a pixel: sample k is k / 2 pixels from the first, which the grid precedes by 3 pixels.
    x, y = np.meshgrid(*(np.arange(2 * n + 12) / 2 - 3 - c for n, c in zip((width, height), center, strict=True)))
    source = np.einsum("ij,jyx->iyx", matrix[:2], np.stack([x, y, np.ones_like(x)])) + center[:, None, None]
    sampled = bilinear(up, *(2 * (source + np.array([left, top])[:, None, None])))
    return reduce(lambda x, axis: np.apply_along_axis(downsample, axis, x), (0, 1), sampled)


def upsample(signal):
    spread = np.zeros(2 * signal.size)
    spread[::2] = signal
    return np.convolve(spread, 2 * sym6())[5 : 5 + spread.size]


def downsample(signal):
    return np.correlate(signal, sym6())[1 : signal.size - 12 : 2]  # the grid's 3-pixel border is cropped


def bilinear(image, x, y):
    total = np.zeros_like(x)
    for dx in (0, 1):
        for dy in (0, 1):
            xi, yi = np.floor(x).astype(int) + dx, np.floor(y).astype(int) + dy
            valid = (xi >= 0) & (xi < image.shape[1]) & (yi >= 0) & (yi < image.shape[0])
            weight = (1 - np.abs(x - xi)) * (1 - np.abs(y - yi))
            total += np.where(valid, weight * image[yi.clip(0, len(image) - 1), xi.clip(0, image.shape[1] - 1)], 0)
    return total


def affine(angle, scale, shift):
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1.0]])


CASES = {
    "identity": affine(0, 1, (0, 0)),
    "turned": affine(0.7, 1.2, (1.3, -2.1)),
    "shifted far": affine(0, 1, (13.25, -9.75)),
    "into the zeros": affine(-2.5, 0.2, (7.0, 21.0)),
    "all outside": affine(1.0, 1, (400.0, -1e9)),
    "magnified": affine(3.0, 5.0, (0.1, 0.2)),
}


MATRICES = jnp.asarray(np.stack(list(CASES.values())), jnp.float32)
resample_jit = jax.jit(resample)


@pytest.mark.parametrize("height, width", [(16, 16), (12, 21)])
def test_resampling_equals_the_plain_twin(height, width):
    image = np.random.RandomState(0).uniform(-1, 1, (height, width))
    mine = resample_jit(jnp.tile(jnp.asarray(image, jnp.float32)[None, :, :, None], (len(CASES), 1, 1, 1)), MATRICES)
    for name, result in zip(CASES, mine, strict=True):
        twin = reference_resample(image, CASES[name], (width - 1, width - 1, height - 1, height - 1))
        np.testing.assert_allclose(result[:, :, 0], twin, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("height, width", [(16, 16), (9, 21)])
def test_neighbours_gathered_together_are_the_same_ones(height, width):
    """What TPUs run; the adjoint too."""
    random = np.random.RandomState(2)
    x, y = (jnp.asarray(random.randn(len(CASES), height, width, 3), jnp.float32) for _ in range(2))
    apart, together = (jax.jit(lambda x, t=t: jax.vjp(lambda x: resample(x, MATRICES, t), x)) for t in (False, True))
    (sampled, pull), (sampled_together, pull_together) = apart(x), together(x)
    np.testing.assert_allclose(sampled_together, sampled, atol=1e-6)
    np.testing.assert_allclose(jax.jit(pull_together)(y)[0], jax.jit(pull)(y)[0], atol=2e-4)


def test_full_margins_show_what_the_published_margins_show():
    """Magnified or turned at natural strengths, the published margin of the excursion plus 6 pixels hides nothing."""
    random = np.random.RandomState(3)
    for _ in range(12):
        matrix = affine(random.uniform(-np.pi, np.pi), 2 ** (0.2 * random.randn()), 2 * random.randn(2))
        image = random.uniform(-1, 1, (16, 16))
        full = reference_resample(image, matrix, (15, 15, 15, 15))
        np.testing.assert_allclose(reference_resample(image, matrix), full, atol=1e-4)


def test_derivative_is_the_map_itself_and_gradient_its_adjoint():
    random = np.random.RandomState(1)
    x, y, direction = (jnp.asarray(random.randn(len(CASES), 12, 15, 2), jnp.float32) for _ in range(3))

    @jax.jit
    def derivatives(x):
        through = partial(resample, matrix=MATRICES)
        forward, tangent = jax.jvp(through, (x,), (direction,))
        return forward, tangent, through(direction), jax.vjp(through, x)[1](y)[0]

    forward, tangent, directed, gradient = derivatives(x)
    np.testing.assert_allclose(tangent, directed, atol=1e-5)
    np.testing.assert_allclose(jnp.sum(forward * y, (1, 2, 3)), jnp.sum(x * gradient, (1, 2, 3)), atol=2e-4)


def test_second_order_gradient_equals_that_of_the_map_as_a_plain_matrix():
    """R1's penalty |d f(A x) / dx|^2 differentiated again, with A also applied as the matrix its columns spell out."""
    matrix = jnp.asarray(CASES["turned"], jnp.float32)[None]
    x = jnp.asarray(np.random.RandomState(5).randn(1, 8, 8, 1), jnp.float32)
    units = resample_jit(jnp.eye(64).reshape(64, 8, 8, 1), jnp.repeat(matrix, 64, axis=0)).reshape(64, 64)

    def penalty(through):
        grad = jax.grad(lambda x: jnp.sum(jnp.sin(through(x))))
        return jax.jit(jax.grad(lambda x: jnp.sum(grad(x) ** 2)))(x)

    plain = penalty(lambda x: x.ravel() @ units)
    np.testing.assert_allclose(penalty(lambda x: resample(x, matrix)), plain, atol=1e-5 * float(jnp.abs(plain).max()))


@pytest.mark.parametrize("size", [6, 7, 32])
def test_only_distinct_rows_are_stored_and_each_is_found(size):
    reflected = np.pad(np.eye(size), ((size - 1, size - 1), (0, 0)), mode="reflect")
    full = np.pad(np.apply_along_axis(upsample, 0, reflected), ((1, 1), (0, 0)))
    rows = np.asarray(distinct(jnp.arange(len(full)), size))
    stored = upsampling_matrix(size)
    np.testing.assert_allclose(stored[rows, 0], full, atol=1e-7)
    np.testing.assert_allclose(stored[rows, 1], np.pad(full[1:], ((0, 1), (0, 0))), atol=1e-7)  # each one's successor
    assert len(set(rows)) == min(4 * size + 11, len(full))


def test_sym6_is_the_wavelet():
    """Orthogonal to its even shifts, six zeros at the Nyquist frequency: with the phase, that defines it."""
    taps = sym6() * np.sqrt(2)
    overlaps = [taps[2 * k :] @ taps[: 12 - 2 * k] for k in range(6)]
    np.testing.assert_allclose(overlaps, [1, 0, 0, 0, 0, 0], atol=1e-11)
    moments = [np.sum((-1.0) ** np.arange(12) * np.linspace(-1, 1, 12) ** k * taps) for k in range(6)]
    np.testing.assert_allclose(moments, 0, atol=1e-11)


def test_filters_equal_the_recorded_ones(golden):
    filters = golden("filters")
    filters.check(sym6(), "augment/Hz_geom")
    filters.check(sym2_filter_bank(), "augment/Hz_fbank")


def test_bands_add_up_to_the_image_exactly():
    np.testing.assert_array_equal(sym2_filter_bank().sum(0), np.eye(43)[21])
    np.testing.assert_array_equal(band_matrices(9).sum(0), np.eye(9))  # also where the filter is longer than the image
