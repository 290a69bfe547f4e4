"""Settings off the beaten track: each against the formula written out, in float64 where it can be."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.networks import Generator, GeneratorConfig, bind, definition, flat, layer_schedule, modulated_conv2d
from sg3x.ops.conv2d import conv2d


def modulated_by_definition(x, w, s, demodulate, padding, gain):
    """One kernel per sample, float64 (StyleGAN3 paper, appendix C.3)."""
    x, w, s = (np.asarray(a, np.float64) for a in (x, w, s))
    if demodulate:
        w = w / np.sqrt(np.mean(w**2, axis=(0, 1, 2)))
        s = s / np.sqrt(np.mean(s**2))
    kernels = w[None] * s[:, None, None, :, None]
    if demodulate:
        kernels = kernels / np.sqrt(np.sum(kernels**2, axis=(1, 2, 3)) + 1e-8)[:, None, None, None]
    kernels = kernels * np.broadcast_to(gain, s.shape)[:, None, None, :, None]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    kh, kw = w.shape[:2]
    h, wd = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    return sum(
        np.einsum("nhwi,nio->nhwo", x[:, i : i + h, j : j + wd], kernels[:, i, j]) for i in range(kh) for j in range(kw)
    )


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (1, 3), (3, 2), (5, 5)])
@pytest.mark.parametrize("padding", [0, 1, 4])
def test_modulated_convolution_of_any_kernel_and_padding(kernel, padding):
    rng = np.random.RandomState(padding)
    x, w, s = rng.randn(2, 7, 6, 3), rng.randn(*kernel, 3, 4), rng.randn(2, 3)
    gains = [np.float32(0.7), rng.rand(3), rng.rand(2, 3)]
    for demodulate, gain in zip((True, False, True), gains, strict=True):
        mine = modulated_conv2d(
            jnp.float32(x), jnp.float32(w), jnp.float32(s), demodulate, padding, jnp.asarray(gain, jnp.float32)
        )
        expected = modulated_by_definition(x, w, s, demodulate, padding, gain)
        np.testing.assert_allclose(mine, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kernel, padding, stride", [((1, 1), 2, 1), ((3, 2), 1, 1), ((1, 3), 0, 2), ((2, 2), 3, 1)])
def test_convolution_gradients_of_any_kernel_and_padding(kernel, padding, stride):
    rng = np.random.RandomState(0)
    x, w = jnp.float32(rng.randn(2, 7, 6, 3)), jnp.float32(rng.randn(*kernel, 3, 4))
    found = [
        jax.grad(lambda x, w, i=i: jnp.sum(jnp.sin(conv2d(x, w, padding, stride, impl=i))), argnums=(0, 1))(x, w)
        for i in ("lax", "matmul")
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *found)


OPTIONS = [
    {"img_resolution": 16, "img_channels": 1, "num_critical": 0},
    {"img_resolution": 64, "conv_kernel": 1, "lrelu_upsampling": 4, "num_layers": 5},
    {"img_resolution": 32, "lrelu_upsampling": 1, "num_layers": 4, "margin_size": 0},
    {"img_resolution": 32, "conv_kernel": 5, "filter_size": 4, "num_layers": 3, "num_critical": 1},
    {"img_resolution": 16, "use_radial_filters": True, "filter_size": 3, "num_layers": 4, "output_scale": 1.0},
    {
        "img_resolution": 16,
        "img_channels": 4,
        "c_dim": 2,
        "first_cutoff": 1.5,
        "last_stopband_rel": 1.5,
        "num_layers": 4,
    },
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items()))
def test_generators_of_any_options_draw_pictures_of_the_right_size(options):
    config = GeneratorConfig(z_dim=4, w_dim=6, channel_base=64, channel_max=6, **options)
    for layer, before in zip(layer_schedule(config).layers[1:], layer_schedule(config).layers, strict=False):
        assert (layer.in_size, layer.in_channels) == (before.out_size, before.out_channels)
    G = Generator(config, key=jax.random.key(0))
    c = np.eye(2)[[0, 1]] if config.c_dim else None
    images = G(np.random.RandomState(0).randn(2, 4), c)
    assert images.shape == (2, config.img_resolution, config.img_resolution, config.img_channels)
    assert images.dtype == jnp.float32 and bool(jnp.isfinite(images).all())
    assert float(jnp.abs(images[0] - images[1]).max()) > 1e-3


@pytest.fixture(scope="module")
def small():
    config = GeneratorConfig(16, z_dim=4, c_dim=2, w_dim=6, channel_base=64, channel_max=6, num_layers=3)
    return Generator(config, key=jax.random.key(1))


def test_precision_options_do_not_matter_in_float32(small):
    half = bind(definition(Generator, replace(small.config, num_fp16_res=0)), flat(small))
    z, c = np.random.RandomState(0).randn(1, 4), np.eye(2)[:1]
    np.testing.assert_array_equal(half(z, c), small(z, c))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"z": np.zeros((2, 4))}, "conditional: give labels"),
        ({"z": np.zeros((2, 4)), "c": np.zeros((2, 3))}, "labels c have shape"),
        ({"z": np.zeros((2, 4)), "c": np.zeros((1, 2))}, "labels c have shape"),
        ({"z": np.zeros((2, 5)), "c": np.zeros((2, 2))}, r"expected \[N, 4\]"),
        ({"z": np.zeros((2, 4)), "c": np.zeros((2, 2)), "truncation_psi": 0.5, "truncation_cutoff": -1}, "cutoff=-1"),
    ],
)
def test_inputs_that_do_not_fit_are_named(small, arguments, named):
    with pytest.raises(ValueError, match=named):
        small(**arguments)


def test_transforms_per_sample_equal_single_ones(small):
    ws = small.mapping(np.random.RandomState(0).randn(2, 4), np.eye(2))
    moves = np.stack([np.eye(3), [[0, 1, 0.1], [-1, 0, 0.2], [0, 0, 1]]])
    together = small.synthesis(ws, transform=moves)
    for i in range(2):
        np.testing.assert_allclose(together[i], small.synthesis(ws, transform=moves[i])[i], atol=1e-5)
    with pytest.raises(ValueError, match="transform has shape"):
        small.synthesis(ws, transform=np.eye(2))
