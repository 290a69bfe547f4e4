"""A step over several devices: the same result as on one, each computing its own pictures."""

from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training import step
from sg3x.training.augment import AugmentConfig
from sg3x.training.state import TrainConfig, init_state

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4)
CONFIG = TrainConfig(G, D, batch_size=8, r1_gamma=1.0, augment=AugmentConfig.preset("bgc"))


def run(devices: int):
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    replicated = NamedSharding(mesh, PartitionSpec())
    state = jax.device_put(init_state(G, D, 0), replicated)
    real = np.random.RandomState(0).randint(0, 256, (8, 16, 16, 3), np.uint8)
    real = jax.device_put(real, NamedSharding(mesh, PartitionSpec("data")))
    for phase, extra in ((step.generator_phase, ()), (step.discriminator_phase, (real,)), (step.r1_phase, (real,))):
        state = jax.jit(partial(phase, CONFIG))(state, *extra)
    return jax.device_get(jax.jit(partial(step.end_phase, CONFIG))(state))


def test_four_devices_equal_one_up_to_rounding():
    one, four = run(1), run(4)
    for part in ("g", "d", "g_ema", "g_buffers"):
        for name, value in one[part].items():
            # One Adam step of at most lr each: a sign flipped by rounding would move an element by up to 2 lr.
            np.testing.assert_allclose(four[part][name], value, atol=1e-4, rtol=1e-4, err_msg=f"{part} {name}")
    assert four["nimg"] == one["nimg"] == 8
