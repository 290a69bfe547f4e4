"""Drawing on eight devices: each computes its own batch, into the bytes of one device."""

import jax
import numpy as np
import pytest

import sg3x
from sg3x.drawing.pictures import draw, sample_images, seed_latents
from sg3x.networks import Generator, GeneratorConfig

CONFIG = GeneratorConfig(
    16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=64, channel_max=4, margin_size=1
)
BATCH, DEVICES = 3, 8


@pytest.fixture(scope="module")
def generator():
    return Generator(CONFIG, key=jax.random.key(0))


class OneDevice:
    """The same generator as a process with one device runs it: with that device's choice of formulations."""

    def __init__(self, generator):
        alone = sg3x.on_devices(generator, 1)
        self.z_dim, self.mapping, self.synthesis, self.call = alone.z_dim, alone.mapping, alone.synthesis, alone

    def __call__(self, *args, **options):
        return self.call(*args, **options)


def test_every_device_holds_its_own_batch_of_pictures(generator):
    assert jax.local_device_count() == DEVICES
    pictures = sg3x.on_devices(generator)(seed_latents(range(DEVICES * BATCH), 4))
    shards = pictures.addressable_shards
    assert len({shard.device for shard in shards}) == DEVICES
    assert {shard.data.shape for shard in shards} == {(BATCH, 16, 16, 3)}


def test_samples_are_the_bytes_of_one_device(generator):
    options = {"batch": BATCH, "truncation_psi": 0.7}
    eight = np.concatenate(list(sample_images(generator, range(29), **options)))  # 24 and 5
    one = np.concatenate(list(sample_images(OneDevice(generator), range(29), **options)))
    assert eight.shape == (29, 16, 16, 3)
    assert eight.std() > 1
    np.testing.assert_array_equal(eight, one)


def test_frames_are_the_bytes_of_one_device_moved_or_not(generator):
    ws = np.asarray(generator.mapping(seed_latents(range(5), 4)))
    motions = np.tile(np.eye(3, dtype=np.float32), (5, 1, 1))
    motions[:, 0, 2] = np.linspace(0, 0.2, 5)
    for transform in (None, motions, motions[3]):
        eight = np.stack(list(draw(generator, ws, batch=BATCH, transform=transform)))
        one = np.stack(list(draw(OneDevice(generator), ws, batch=BATCH, transform=transform)))
        np.testing.assert_array_equal(eight, one)
