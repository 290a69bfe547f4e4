"""Training that starts from another model: weights taken over, everything else new, frozen layers that do not move."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.interop.nvidia import load_pickle
from sg3x.networks import DiscriminatorConfig, GeneratorConfig, init_discriminator
from sg3x.networks.discriminator import frozen_names
from sg3x.networks.store import StoredNetworks, save_generator, save_networks
from sg3x.training.checkpoints import CheckpointError, save_checkpoint
from sg3x.training.execute.compiled import in_one_go
from sg3x.training.objective.phases import Batch
from sg3x.training.start import PARTS, start_from
from sg3x.training.state import TrainConfig, init_state

PICKLE = Path(__file__).parents[1] / "golden" / "tiny_t32.pkl"
GENERATOR = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channels=(4, 4), margin_size=1)
DISCRIMINATOR = DiscriminatorConfig(16, channel_base=64, channel_max=4)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    networks = load_pickle(PICKLE)
    folder = tmp_path_factory.mktemp("start") / "imported"
    save_networks(folder, StoredNetworks(networks.generator_ema, networks.generator, networks.discriminator, {}))
    return folder, networks


def test_an_imported_model_gives_g_d_and_the_average(imported):
    folder, networks = imported
    state, origin = start_from(folder, networks.generator.config, networks.discriminator.config, seed=0)
    expected = {"g": networks.generator.params, "g_ema": networks.generator_ema.params,
                "g_buffers": networks.generator.buffers, "d": networks.discriminator.params}  # fmt: skip
    for part, values in expected.items():
        assert state[part].keys() == values.keys()
        for name, value in values.items():
            np.testing.assert_array_equal(state[part][name], value)
    fresh = init_state(networks.generator.config, networks.discriminator.config, 0)
    for part in fresh.keys() - set(PARTS):
        jax.tree.map(np.testing.assert_array_equal, state[part], fresh[part])
    assert origin["from"] == "imported" and len(origin["sha256"]) == 64


def test_a_checkpoint_gives_its_weights_and_not_its_optimiser(tmp_path):
    state = init_state(GENERATOR, DISCRIMINATOR, seed=5)
    state = {**state, "nimg": jnp.int32(4000), "d_opt": jax.tree.map(jnp.ones_like, state["d_opt"])}
    meta = {"generator": GENERATOR.to_dict(), "discriminator": DISCRIMINATOR.to_dict(), "nimg": 4000}
    save_checkpoint(tmp_path / "4", state, meta, [])
    started, _ = start_from(tmp_path / "4", GENERATOR, DISCRIMINATOR, seed=0)
    for part in PARTS:
        jax.tree.map(np.testing.assert_array_equal, started[part], state[part])
    assert int(started["nimg"]) == 0 and not any(np.any(x) for x in jax.tree.leaves(started["d_opt"]))


def test_every_key_that_differs_is_listed(imported):
    folder, networks = imported
    generator = replace(networks.generator.config, img_resolution=64, z_dim=8)
    discriminator = replace(networks.discriminator.config, img_resolution=64, channel_max=8)
    with pytest.raises(CheckpointError) as error:
        start_from(folder, generator, discriminator, 0)
    lines = str(error.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "generator.img_resolution", "generator.z_dim", "discriminator.channel_max", "discriminator.img_resolution",
    ]  # fmt: skip
    assert "there 32, params.yaml 64" in lines[0]


def test_what_training_cannot_start_from_is_said(imported, tmp_path):
    _, networks = imported
    save_generator(tmp_path / "exported", networks.generator_ema)
    for path, named in ((tmp_path / "exported", "no discriminator"), (tmp_path, "neither"), (PICKLE, "import-nvidia")):
        with pytest.raises(CheckpointError, match=named):
            start_from(path, networks.generator.config, networks.discriminator.config, 0)


def test_a_conditional_model_is_refused_by_its_classes(tmp_path):
    shapes = replace(GENERATOR, c_dim=3), replace(DISCRIMINATOR, c_dim=3)
    meta = {"generator": shapes[0].to_dict(), "discriminator": shapes[1].to_dict(), "nimg": 0}
    save_checkpoint(tmp_path / "0", init_state(*shapes, seed=0), meta, [])
    with pytest.raises(CheckpointError, match="init.from.*conditional model .3 classes, c_dim=3.*unconditional"):
        start_from(tmp_path / "0", GENERATOR, DISCRIMINATOR, 0)


def test_another_clamp_is_said(imported, capsys):
    folder, networks = imported
    start_from(folder, networks.generator.config, networks.discriminator.config, 0)
    assert "conv_clamp" not in capsys.readouterr().out
    start_from(folder, replace(networks.generator.config, conv_clamp=64.0), networks.discriminator.config, 0)
    assert "generator.conv_clamp 256.0, training goes on with 64.0" in capsys.readouterr().out


def test_layers_freeze_in_the_order_of_freeze_d():
    names = init_discriminator(jax.random.key(0), DISCRIMINATOR).keys()

    def layers(count):
        return {n.rpartition(".")[0] for n in frozen_names(DISCRIMINATOR, count) & names}

    assert layers(0) == set()
    assert layers(2) == {"b16.fromrgb", "b16.conv0"}
    assert layers(4) == {"b16.fromrgb", "b16.conv0", "b16.conv1", "b16.skip"}
    assert layers(5) == layers(4) | {"b8.conv0"}
    assert layers(7) == layers(4) | {"b8.conv0", "b8.conv1", "b8.skip"} == layers(99)


def test_frozen_layers_do_not_move_and_the_others_move_as_before():
    config = TrainConfig(GENERATOR, DISCRIMINATOR, batch_size=4, r1_gamma=1.0, freeze_d=3)
    start = init_state(GENERATOR, DISCRIMINATOR, seed=0)
    # Moments as of earlier, unfrozen training: Adam would go on moving the weights by them.
    for part in start["d_opt"].values():
        part |= {moment: jax.tree.map(jnp.ones_like, part[moment]) for moment in ("mu", "nu")}
    real = Batch(jax.random.randint(jax.random.key(1), (4, 16, 16, 3), 0, 256).astype(jnp.uint8))

    def train(config):
        state = jax.jit(in_one_go(config, "D"))(start, real)
        return jax.jit(in_one_go(config, "R1"))(state, real)

    frozen, free = train(config), train(replace(config, freeze_d=0))
    names = frozen_names(DISCRIMINATOR, 3)
    assert len(names) == 6
    for name, before in start["d"].items():
        moved = float(jnp.abs(frozen["d"][name] - before).max())
        assert (moved == 0) == (name in names), name
        assert float(jnp.abs(free["d"][name] - before).max()) > 0
    one_phase = jax.jit(in_one_go(config, "D"))(start, real)
    reference = jax.jit(in_one_go(replace(config, freeze_d=0), "D"))(start, real)
    for name in start["d"].keys() - names:  # Adam is elementwise: the first step is the same
        np.testing.assert_allclose(one_phase["d"][name], reference["d"][name], atol=1e-6)
