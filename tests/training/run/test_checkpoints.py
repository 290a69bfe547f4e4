"""Checkpoints: the same bytes for the same state, nothing lost, damage and misfits named."""

import jax
import numpy as np
import pytest

from sg3x.files.fingerprint import hash_tree
from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.run.checkpoints import (
    CheckpointError,
    check_config,
    load_averaged,
    load_checkpoint,
    load_meta,
    save_checkpoint,
)
from sg3x.training.state import init_state

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4)
META = {"generator": G.to_dict(), "discriminator": D.to_dict(), "nimg": 0}
HISTORY = [{"kimg": "1.000", "loss_g": "0.5"}, {"kimg": "2.000", "loss_g": ""}]


@pytest.fixture(scope="module")
def state():
    return init_state(G, D, seed=0)


@pytest.fixture()
def saved(tmp_path, state):
    save_checkpoint(tmp_path / "1", state, META, HISTORY)
    return tmp_path / "1"


def test_everything_comes_back(saved, state):
    loaded, meta, history = load_checkpoint(saved, state)
    jax.tree.map(np.testing.assert_array_equal, loaded, jax.device_get(state))
    assert jax.tree.structure(loaded) == jax.tree.structure(state)
    assert history == HISTORY
    assert meta["generator"]["w_dim"] == 4


def test_the_same_state_is_the_same_bytes(saved, tmp_path, state):
    save_checkpoint(tmp_path / "2", state, META, HISTORY)
    assert hash_tree(saved) == hash_tree(tmp_path / "2")


def test_saving_over_an_old_one_leaves_only_the_new(saved, state):
    save_checkpoint(saved, {**state, "nimg": np.int32(8)}, META, [])
    assert int(load_checkpoint(saved)[0]["nimg"]) == 8
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("damage", ["shorten", "flip", "remove"])
def test_damage_is_noticed(saved, damage):
    victim = max((p for p in (saved / "state").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(victim.read_bytes())
    if damage == "remove":
        victim.unlink()
    else:
        victim.write_bytes(content[:-1] if damage == "shorten" else bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(saved)


def test_a_folder_that_is_no_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="dvc pull"):
        load_meta(tmp_path)


def test_a_state_that_does_not_fit_is_refused_not_cast(saved, state):
    other = {**state, "nimg": np.float32(0)}
    with pytest.raises(CheckpointError, match=r"nimg.*int32.*float32"):
        load_checkpoint(saved, other)


def test_a_configuration_that_does_not_fit_names_every_key(saved):
    other = {
        "generator": {**G.to_dict(), "w_dim": 8, "num_layers": 3, "conv_clamp": None},
        "discriminator": D.to_dict(),
    }
    with pytest.raises(CheckpointError) as caught:
        check_config(saved, load_meta(saved), other)
    assert "generator.num_layers: there 2, params.yaml 3" in str(caught.value)
    assert "generator.w_dim" in str(caught.value) and "conv_clamp" not in str(caught.value)


def test_the_averaged_generator_is_taken_from_it(saved, state):
    generator, _, _ = load_averaged(saved)
    np.testing.assert_array_equal(generator.mapping.fc0.weight[...], state["g_ema"]["mapping.fc0.weight"])
    assert generator(np.zeros((2, 4))).shape == (2, 16, 16, 3)
