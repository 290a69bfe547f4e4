"""`deterministic: true`: the same bits whatever computes them, and the same step as the plain one."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.augment import AugmentConfig
from sg3x.training.layout import choose_layout
from sg3x.training.ordered import make_programs
from sg3x.training.programs import data_mesh, replicate
from sg3x.training.state import TrainConfig, init_state
from tests.training.test_layout import largest_difference

G = GeneratorConfig(
    16, z_dim=4, w_dim=4, mapping_layers=1, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1
)
CONFIG = TrainConfig(
    G, DiscriminatorConfig(16, channel_base=32, channel_max=4, mbstd_group_size=2), batch_size=8, r1_gamma=1.0,
    r1_interval=2, augment=AugmentConfig(brightness=1, noise=1), ada_interval=1, ada_kimg=0.1, blur_init_sigma=1.0,
    blur_fade_kimg=1.0,
)  # fmt: skip


@cache
def trained(devices: int, batch: int = 8, group: int = 2, deterministic: bool = True):
    """The state after three steps, of which the first and the third have an R1 phase."""
    config = replace(CONFIG, batch_size=batch, discriminator=replace(CONFIG.discriminator, mbstd_group_size=group))
    state = jax.device_get(init_state(config.generator, config.discriminator, 0))
    # Nothing is augmented at p = 0: begin with something to get wrong.
    state["ada"] = {**state["ada"], "p": np.float32(0.5)}
    programs = make_programs(
        config, data_mesh(devices), state, choose_layout(batch, group, devices, None, deterministic)
    )
    pictures = np.random.RandomState(0).randint(0, 256, (3, batch, 16, 16, 3), np.uint8)
    state = replicate(state, programs.replicated)
    with jax.transfer_guard("disallow"):
        for number in range(3):
            batch_on_devices = programs.place(programs.arrange(pictures[number])[programs.local_rows()])
            state = programs(state, batch_on_devices, number)
    return jax.device_get(state)


def assert_same_bits(mine, theirs):
    for (where, a), b in zip(jax.tree_util.tree_leaves_with_path(mine), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), jax.tree_util.keystr(where)


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_a_batch_of_8_in_groups_of_2_has_the_same_bits(devices):
    """Four groups: two rounds on 2 devices, one on 4, and more devices than groups."""
    assert_same_bits(trained(devices), trained(1))


def test_groups_that_do_not_divide_over_the_devices_have_the_same_bits():
    assert_same_bits(trained(2, batch=6), trained(1, batch=6))


@pytest.mark.slow
def test_a_batch_of_8_in_groups_of_4_has_the_same_bits():
    assert_same_bits(trained(2, group=4), trained(1, group=4))


def test_steps_are_those_of_the_plain_programs():
    plain, ordered = trained(1, deterministic=False), trained(2)
    for part in ("g_opt", "d_opt", "g_buffers", "statistics", "ada"):
        assert largest_difference(ordered[part], plain[part]) < 2e-4, part
    assert ordered["statistics"]["r1_steps"] == 2 and ordered["nimg"] == 24


def test_every_program_is_one_of_a_single_device():
    programs = make_programs(
        CONFIG, data_mesh(2), init_state(G, CONFIG.discriminator, 0), choose_layout(8, 2, 2, None, True)
    )
    collective = ("all-reduce", "all-gather", "collective", "reduce-scatter", "all-to-all")
    for (name, device), program in programs.on.items():
        text = program.as_text()
        assert "num_partitions" not in text.splitlines()[0], (name, device)
        assert not any(word in text for word in collective), (name, device)
    texts = [programs.on["R1 unit", device].as_text() for device in jax.devices()[:2]]
    assert texts[0] == texts[1]
