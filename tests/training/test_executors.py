"""One step, three executors: microbatches give what the whole batch gives; deterministic bits; a term is written once."""

from dataclasses import replace
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.training.augment import AugmentConfig
from sg3x.training.execute.compiled import data_mesh
from sg3x.training.execute.microbatches import choose_microbatches
from sg3x.training.execute.step import compile_step
from sg3x.training.objective import losses
from sg3x.training.objective.phases import OF_PICTURES, PHASES
from sg3x.training.state import State
from tests import tiny
from tests.tiny import CONFIG, largest_difference

EXECUTORS = {
    "whole": {},
    "accumulated": {"batch_per_device": 4},  # two groups each: a microbatch that is not one
    "ordered": {"deterministic": True},
}
_done: dict[str, State] = {}


def trained(name: str, **options) -> State:
    """Once for all tests of this file."""
    if name not in _done:
        _done[name] = tiny.train(**options)
    return _done[name]


def assert_same_bits(mine, theirs):
    for (where, a), b in zip(jax.tree_util.tree_leaves_with_path(mine), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), jax.tree_util.keystr(where)


def after(phase: str, batch_per_device: int | None = None, deterministic: bool = False) -> State:
    """A start's state after one phase alone, by one executor."""
    microbatches = choose_microbatches(CONFIG.batch_size, CONFIG.group_size, 1, batch_per_device, deterministic)
    with patch.dict(PHASES, {phase: PHASES[phase]}, clear=True):
        step = compile_step(CONFIG, data_mesh(1), tiny.start(), microbatches)
        state = jax.device_put(tiny.start(), step.state_sharding)
        pictures = tiny.pictures(CONFIG.batch_size)[0]
        batch = [step.put_batch(microbatches.arrange(pictures))] if phase in OF_PICTURES else []
        return jax.device_get(step._run(phase, state, *batch))


@pytest.mark.parametrize(
    "name, options",
    [
        ("accumulated on 2 devices", {"devices": 2, "batch_per_device": 2}),
        ("deterministic on 2 devices", {"devices": 2, "deterministic": True}),
    ],
)
def test_steps_in_microbatches_are_those_of_the_whole_batch(name, options):
    whole, parts = trained("whole"), trained(name, **options)
    for part in ("g_opt", "d_opt", "g_buffers", "statistics", "ada"):
        assert largest_difference(parts[part], whole[part]) < 2e-4, part
    assert parts["nimg"] == whole["nimg"] == 24
    assert parts["statistics"]["r1_steps"] == whole["statistics"]["r1_steps"] == 2


@pytest.mark.parametrize("name", ["accumulated", "ordered"])
def test_the_gradient_of_r1_in_microbatches_is_that_of_the_whole_batch(name):
    """By itself: in a step the main gradient would hide a wrong scale. Adam's first moment is the gradient, as beta1 is 0."""
    split, whole = after("R1", **EXECUTORS[name]), after("R1")
    mine, theirs = (s["d_opt"]["rest"]["mu"] for s in (split, whole))
    assert largest_difference(mine, theirs) < 1e-4
    for weight in ("b16.conv0.weight", "b4.conv.weight"):
        assert abs(np.linalg.norm(mine[weight]) / np.linalg.norm(theirs[weight]) - 1) < 1e-4, weight
    assert float(split["statistics"]["r1_penalty"]) == pytest.approx(float(whole["statistics"]["r1_penalty"]), rel=1e-5)


def test_a_term_added_in_one_place_is_in_the_step_of_every_executor(monkeypatch):
    before, known = after("G"), losses.generator_loss
    # Neither zero at zero nor linear: a mean over microbatches that was taken too early or too late would show.
    monkeypatch.setattr(losses, "generator_loss", lambda logits: known(logits) + jnp.mean(jnp.exp(logits)))
    found = {name: after("G", **options) for name, options in EXECUTORS.items()}
    assert largest_difference(found["whole"]["g_opt"], before["g_opt"]) > 0.5
    for name, state in found.items():
        assert largest_difference(state["g_opt"], found["whole"]["g_opt"]) < 2e-4, name
        assert float(state["statistics"]["loss_g"]) > float(before["statistics"]["loss_g"]) + 0.5, name
        assert largest_difference(state["statistics"], found["whole"]["statistics"]) < 1e-5, name


def test_four_devices_equal_one_up_to_rounding():
    """With geometric augmentation, which resamples: each device its own pictures."""
    config = replace(CONFIG, augment=AugmentConfig.preset("bgc"))
    one, four = tiny.train(config, steps=1), tiny.train(config, devices=4, steps=1)
    for part in ("g", "d", "g_ema", "g_buffers"):
        for name, value in one[part].items():
            # One Adam step of at most lr each: a sign flipped by rounding would move an element by up to 2 lr.
            np.testing.assert_allclose(four[part][name], value, atol=1e-4, rtol=1e-4, err_msg=f"{part} {name}")
    assert four["nimg"] == one["nimg"] == 8


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_a_batch_of_8_in_groups_of_2_has_the_same_bits(devices):
    """Four groups: two rounds on 2 devices, one on 4, and more devices than groups."""
    mine = trained(f"deterministic on {devices} devices", devices=devices, deterministic=True)
    assert_same_bits(mine, trained("deterministic on 1 device", deterministic=True))


def test_groups_that_do_not_divide_over_the_devices_have_the_same_bits():
    config = replace(CONFIG, batch_size=6)
    assert_same_bits(*(tiny.train(config, devices, deterministic=True) for devices in (1, 2)))


@pytest.mark.slow
def test_a_batch_of_8_in_groups_of_4_has_the_same_bits():
    config = replace(CONFIG, discriminator=replace(CONFIG.discriminator, mbstd_group_size=4))
    assert_same_bits(*(tiny.train(config, devices, deterministic=True) for devices in (1, 2)))


def test_every_deterministic_program_is_one_of_a_single_device():
    step = compile_step(CONFIG, data_mesh(2), tiny.start(), choose_microbatches(8, 2, 2, None, True))
    collective = ("all-reduce", "all-gather", "collective", "reduce-scatter", "all-to-all")
    for (name, device), program in step.on.items():
        text = program.as_text()
        assert "num_partitions" not in text.splitlines()[0], (name, device)
        assert not any(word in text for word in collective), (name, device)
    texts = [step.on["R1 r1_microbatch", device].as_text() for device in jax.devices()[:2]]
    assert texts[0] == texts[1]
