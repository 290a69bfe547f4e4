"""Snapshots open as the networks they hold: a real file, and forged ones of other kinds and protocols."""

import numpy as np
import pytest

import sg3x
from sg3x.interop.nvidia import load_pickle
from sg3x.interop.snapshot import read_snapshot
from tests.conftest import record_fidelity
from tests.interop import forge

TOLERANCE = {"ws": 1e-5, "img": 2e-5, "logits": 1e-5}


@pytest.fixture(scope="module")
def real(golden_file):
    return load_pickle(golden_file("tiny_t32.pkl")), np.load(golden_file("tiny_t32.npz"))


def nhwc(array):
    return array.transpose(0, 2, 3, 1)


def check(mine, golden, name, atol):
    error = np.abs(np.asarray(mine, np.float64) - golden).max()
    record_fidelity("pickle", name, error, np.abs(golden).max(), atol)
    assert error <= atol, name


def test_a_real_snapshot_draws_the_references_pictures(real):
    networks, g = real
    G, z = networks.generator_ema, g["z"]
    ws = G.mapping(z)
    check(ws, g["ws"], "ws", TOLERANCE["ws"])
    drawn = {
        "img": G(z),
        "img_psi07": G(z, truncation_psi=0.7),
        "img_psi05_cut4": G(z, truncation_psi=0.5, truncation_cutoff=4),
        "img_transformed": G.synthesis(ws, transform=g["user_transform"]),
        "img_G": networks.generator(z),
    }
    for name, images in drawn.items():
        check(images, nhwc(g[name]), name, TOLERANCE["img"])
    check(networks.discriminator(nhwc(g["d_img"])), g["d_logits"], "logits", TOLERANCE["logits"])


def test_what_the_file_says_is_in_meta(real):
    meta = real[0].meta
    assert meta["G_ema"]["init_kwargs"]["channel_base"] == 256
    assert meta["D"]["class_name"] == "Discriminator" and meta["frozen"] == []
    assert meta["training_set"]["resolution"] == 32


def test_a_pickle_opens_like_any_other_network(real, golden_file):
    z = real[1]["z"][:1]
    np.testing.assert_array_equal(sg3x.load_generator(golden_file("tiny_t32.pkl"))(z), real[0].generator_ema(z))


def forged(golden, protocol=4, **changes):
    """A conditional R generator and a conditional discriminator, with frozen layers, channels-last weights."""
    g, d = golden("generator_r"), golden("discriminator")
    not_options = ("prefix", "batch", "truncation_psi", "truncation_cutoff", "act_channels", "batches", "r1_gamma",
                   "lazy_gain")  # fmt: skip
    options = [{k: v for k, v in x.meta["cases"][1].items() if k not in not_options} for x in (g, d)]
    options[1] |= {k: forge.New(forge.EASYDICT, options[1][k]) for k in ("block_kwargs", "mapping_kwargs")}
    frozen = ("b32.fromrgb.weight", "b32.fromrgb.bias", "b32.conv0.weight", "b32.conv0.bias")
    generator = forge.network("Generator", g.group("c/state/"), options[0])
    discriminator = forge.network("Discriminator", d.group("c/state/"), options[1], frozen)
    return forge.snapshot(generator, discriminator, protocol, **changes)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_conditional_r_with_frozen_layers_in_every_protocol(golden, tmp_path, protocol):
    (tmp_path / "n.pkl").write_bytes(forged(golden, protocol))
    found = read_snapshot(tmp_path / "n.pkl")
    for state, file in ((found.generator_ema, "generator_r"), (found.discriminator, "discriminator")):
        expected = golden(file).group("c/state/")
        assert state.arrays.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(state.arrays[name], value)
    assert set(found.discriminator.frozen) >= {"b32.fromrgb.weight", "b32.conv0.bias"}
    if protocol == 4:
        g, d, networks = golden("generator_r"), golden("discriminator"), load_pickle(tmp_path / "n.pkl")
        g.check(networks.generator_ema(g["c/z"], g["c/c"]), "c/img")
        d.check(networks.discriminator(d.nhwc("c/img")[:4], d["c/c"][:4]), "c/n4/logits")


def test_a_file_with_the_average_alone_opens(golden, tmp_path):
    g = golden("generator_t")
    options = {"z_dim": 12, "c_dim": 3, "w_dim": 16, "img_resolution": 16, "channel_base": 160, "channel_max": 12,
               "num_layers": 6, "conv_clamp": None, "img_channels": 3}  # fmt: skip
    average = forge.network("Generator", g.group("c/state/"), options)
    (tmp_path / "n.pkl").write_bytes(forge.dumps({"G_ema": average}))
    networks = load_pickle(tmp_path / "n.pkl")
    assert networks.generator is None and networks.discriminator is None
    g.check(networks.generator_ema(g["c/z"], g["c/c"]), "c/img")
