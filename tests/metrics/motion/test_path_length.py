"""Path lengths against a generator whose lengths are known in closed form; PPL's name only with LPIPS's file."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from sg3x.drawing.pictures import seed_latents
from sg3x.metrics.features.extractor import random_extractor
from sg3x.metrics.motion.path_length import embedding, load_lpips, mean_path_length, path_lengths
from sg3x.networks import Generator, GeneratorConfig, bind, definition, flat


class Linear:
    """w = z; the picture is `gain` times w's first value, everywhere."""

    z_dim = 3

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def mapping(self, z, c=None, truncation_psi=1.0, truncation_cutoff=None):
        return np.repeat(np.asarray(z)[:, None], 2, axis=1)

    def synthesis(self, ws, transform=None):
        return np.broadcast_to((self.gain * np.asarray(ws)[:, 0, 0])[:, None, None, None], (len(ws), 16, 16, 3))


def first_pixel(images):
    return images[:, 0, 0, :1].astype(np.float64) / 127.5


def test_lengths_of_a_linear_generator():
    z = seed_latents(range(10, 24), 3)
    expected = (0.5 * (z[1::2, 0] - z[0::2, 0])) ** 2
    found = path_lengths(Linear(0.5), first_pixel, pairs=7, first_seed=10, batch=4)
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-3)  # float32 pictures, steps of 1e-4


def test_a_network_of_bfloat16_is_measured_in_float32():
    """bfloat16 keeps 8 bits: a step of 1e-4 would drown in their rounding, and eps² blow it up."""
    options = {"z_dim": 4, "w_dim": 4, "num_layers": 3, "num_critical": 1, "channel_base": 64, "channel_max": 8}
    config = GeneratorConfig(16, **options, margin_size=2)
    full = Generator(config, key=jax.random.key(0))
    half = bind(definition(Generator, replace(config, activation_dtype="bfloat16")), flat(full))
    embed = random_extractor().unrounded
    expected = path_lengths(full, embed, pairs=4, batch=4)
    np.testing.assert_array_equal(path_lengths(half, embed, pairs=4, batch=4), expected)
    rounded = np.asarray(half.synthesis(np.ones((1, half.config.num_ws, 4))))
    assert not np.array_equal(rounded, full.synthesis(np.ones((1, half.config.num_ws, 4))))


def test_outliers_are_left_out_at_both_ends():
    lengths = np.concatenate([np.full(298, 2.0), [-1e9, 1e9]])
    assert mean_path_length(lengths) == 2.0


def test_without_lpips_it_is_not_called_ppl():
    """And the random features see a step of 1e-4: ten times the step gives the same length."""
    name, embed, sha256 = embedding(random_extractor(), None)
    assert (name, sha256) == ("path_length_random", None)
    wave = np.sin(np.arange(32) / 2)[None, None, :, None]

    class Turning(Linear):
        def synthesis(self, ws, transform=None):
            turned = np.asarray(ws)[:, 0, 0][:, None, None, None]
            return np.broadcast_to(0.5 * np.sin(turned + 3 * wave), (len(ws), 32, 32, 3))

    small = path_lengths(Turning(1.0), embed, pairs=8, batch=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sg3x.metrics.motion.path_length.EPSILON", 1e-3)
        large = path_lengths(Turning(1.0), embed, pairs=8, batch=8)
    np.testing.assert_allclose(small.mean(), large.mean(), rtol=0.03)


def test_lpips_from_a_file(tmp_path):
    torch = pytest.importorskip("torch")

    class SmallLpips(torch.nn.Module):
        def forward(self, x: torch.Tensor, resize_images: bool = False, return_lpips: bool = False) -> torch.Tensor:
            return x.mean(dim=(2, 3)) / 127.5

    path = tmp_path / "vgg16.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.script(SmallLpips()).save(str(path))
    with pytest.MonkeyPatch.context() as patch:
        import warnings

        patch.setattr(warnings, "filters", [("ignore", None, DeprecationWarning, None, 0), *warnings.filters])
        name, embed, sha256 = embedding(random_extractor(), str(path))
    assert name == "ppl" and len(sha256) == 64
    images = np.random.RandomState(0).uniform(0, 255, (2, 512, 512, 3)).astype(np.float32)
    np.testing.assert_allclose(embed(images), images.mean(axis=(1, 2)) / 127.5, rtol=1e-4)


def test_a_missing_lpips_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="features.lpips_path is"):
        load_lpips(tmp_path / "nowhere.pt")
