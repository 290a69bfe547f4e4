"""A step cut into parts and spread over devices: the same result."""

from functools import cache, partial

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training import parts, step
from sg3x.training.augment import AugmentConfig
from sg3x.training.errors import TrainingError
from sg3x.training.layout import AXIS, Layout, choose_layout
from sg3x.training.ordered import make_programs
from sg3x.training.programs import data_mesh, replicate
from sg3x.training.state import TrainConfig, init_state

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4, mbstd_group_size=2)
AUGMENT = AugmentConfig(brightness=1, hue=1, noise=1)  # draws of every kind, quickly compiled
CONFIG = TrainConfig(
    G, D, batch_size=16, r1_gamma=1.0, r1_interval=1, augment=AUGMENT, ada_interval=1, ada_kimg=0.1,
    blur_init_sigma=1.0, blur_fade_kimg=1.0,
)  # fmt: skip
PICTURES = np.random.RandomState(0).randint(0, 256, (16, 16, 16, 3), np.uint8)


@cache
def trained(devices: int, batch_per_device: int | None = None, steps: int = 2):
    """The state after some steps under one layout."""
    layout = choose_layout(CONFIG.batch_size, D.mbstd_group_size, devices, batch_per_device, deterministic=False)
    state = init_state(G, D, 0)
    # Nothing is augmented or blurred at p = 0: begin with something to get wrong.
    state["ada"] = {**state["ada"], "p": np.float32(0.5)}
    programs = make_programs(CONFIG, data_mesh(devices), state, layout)
    state = replicate(jax.device_get(state), programs.replicated)
    for number in range(steps):
        state = programs(state, programs.place(programs.arrange(PICTURES)), number)
    return jax.device_get(state)


def largest_difference(mine, theirs) -> float:
    """Relative to each array's largest value. Adam's moments show the gradients; its steps would amplify a flipped sign."""
    worst = 0.0
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        scale = max(np.abs(b).max(initial=0), 1e-3)
        worst = max(worst, np.abs(a - b).max(initial=0) / scale)
    return worst


def test_accumulated_gradients_over_devices_are_those_of_the_whole_batch():
    whole, parts = trained(1), trained(2, batch_per_device=4)
    for part in ("g_opt", "d_opt", "g_buffers", "statistics", "ada"):
        assert largest_difference(parts[part], whole[part]) < 2e-4, part
    assert parts["nimg"] == whole["nimg"] == 32


def test_the_gradient_of_r1_accumulated_over_four_parts_is_that_of_the_whole_batch():
    """By itself: in a step the main gradient would hide a wrong scale. Adam's first moment is the gradient, as beta1 is 0."""
    state = init_state(G, D, 0)
    mesh, layout = data_mesh(1), Layout(CONFIG.batch_size, 2, devices=1, unit=4, ordered=False)
    specs = (PartitionSpec(), PartitionSpec(), PartitionSpec(AXIS))
    in_parts = jax.shard_map(
        partial(parts.r1_phase, CONFIG, layout), mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False
    )
    split = jax.jit(in_parts)(state, np.int32(layout.per_device), layout.arrange(PICTURES))
    whole = jax.jit(partial(step.r1_phase, CONFIG))(state, PICTURES)
    mine, theirs = (s["d_opt"]["rest"]["mu"] for s in (split, whole))
    assert largest_difference(mine, theirs) < 1e-4
    for name in ("b16.conv0.weight", "b4.conv.weight"):
        ratio = np.linalg.norm(mine[name]) / np.linalg.norm(theirs[name])
        assert abs(ratio - 1) < 1e-4, name
    assert float(split["statistics"]["r1_penalty"]) == pytest.approx(float(whole["statistics"]["r1_penalty"]), rel=1e-5)


def test_groups_stay_whole():
    layout = Layout(batch_size=16, group=4, devices=2, unit=8, ordered=False)
    units = layout.arrange(np.arange(16))
    assert units.shape == (2, 8)
    for unit in units:
        inside = unit.reshape(4, 2)  # the discriminator's rule: sample n of group n mod (8 / 4)
        for group in inside.T:
            assert len({n % 4 for n in group}) == 1  # of one group in the whole batch too
    assert sorted(units.ravel()) == list(range(16))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((6, 4, 4, None, False), "batch_size=6 does not divide over 4 devices"),
        ((16, 4, 2, 6, False), "batch_per_device=6 must be a multiple of discriminator.mbstd_group_size=4"),
        ((32, 4, 2, 12, False), "allowed are 4, 8, 16, or null"),
        ((32, 4, 2, 4, True), "batch_per_device=4 has no meaning with deterministic"),
    ],
)
def test_a_layout_that_cannot_be_names_the_parameters(arguments, message):
    with pytest.raises(TrainingError, match=message):
        choose_layout(*arguments)


def test_parts_of_the_whole_share_are_no_parts():
    for no_less_than_the_share in (8, 12, 13, 16, 64, None):
        assert choose_layout(16, 4, 2, no_less_than_the_share, False) is None
