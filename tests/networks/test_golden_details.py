"""Inside whole networks: every layer's output, the running mean of w, initial values; bfloat16 against float32."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.interop.nvidia import discriminator_from_state_dict, generator_from_state_dict
from sg3x.networks import Generator, MappingNetwork, bind, definition, flat
from tests.conftest import record_fidelity

NOT_OPTIONS = (
    "prefix",
    "batch",
    "truncation_psi",
    "truncation_cutoff",
    "act_channels",
    "batches",
    "r1_gamma",
    "lazy_gain",
)
CASES = [(file, i) for file in ("generator_t", "generator_r") for i in range(2)]


def open_case(golden, file, index):
    g = golden(file)
    case = g.meta["cases"][index]
    options = {k: v for k, v in case.items() if k not in NOT_OPTIONS}
    return g, case, case["prefix"], generator_from_state_dict(g.group(case["prefix"] + "state/"), **options)


@pytest.mark.parametrize("file, index", CASES)
def test_every_layers_output(golden, file, index):
    g, case, p, G = open_case(golden, file, index)
    z, c = jnp.asarray(g[p + "z"]), (jnp.asarray(g[p + "c"]) if case["c_dim"] else None)

    @jax.jit
    def outputs(G):
        ws = G.mapping(z, c)
        x = G.synthesis.input(ws[:, 0])
        found = {"input": x}
        for i, layer in enumerate(G.synthesis.layers, start=1):
            x = found[layer.spec.name] = layer(x, ws[:, i])
        return found

    for name, x in outputs(G).items():
        n, channels = g[f"{p}act/{name}"].shape[:2]
        g.check(x[:n, :, :, :channels], f"{p}act/{name}")
        x = np.asarray(x, np.float64)
        g.check(x.mean(axis=(1, 2)), f"{p}act_mean/{name}")
        g.check(np.square(x).mean(axis=(1, 2)), f"{p}act_ms/{name}")


@pytest.mark.parametrize("index", range(3))
def test_the_running_mean_of_w_moves_before_truncation(golden, index):
    g = golden("mapping")
    case = g.meta["cases"][index]
    p = case["prefix"]
    shape = (case["z_dim"], case["c_dim"], case["w_dim"], case.get("num_layers", 2), case.get("lr_multiplier", 0.01))
    state = {k: jnp.asarray(v.T if v.ndim == 2 else v) for k, v in g.group(p + "state/").items()}
    before = {**state, "w_avg": jnp.asarray(g[p + "w_avg_before"])}
    network = bind(definition(MappingNetwork, *shape, case["num_ws"], case["w_avg_beta"]), before)
    z, c = jnp.asarray(g[p + "z"]), (jnp.asarray(g[p + "c"]) if case["c_dim"] else None)
    network(z, c, track=True)
    g.check(network.w_avg[...], p + "w_avg_after1")
    ws = network(z * 0.5 + 0.3, c, truncation_psi=0.5, track=True)
    g.check(ws, p + "ws_ema_psi05")
    g.check(network.w_avg[...], p + "w_avg_after2")


# R has twice the channels and radial filters, hence longer sums; both are networks of random weights.
BFLOAT16_BOUNDS = {"generator_t": 0.05, "generator_r": 0.15}


@pytest.mark.parametrize("file, index", CASES)
def test_bfloat16_pictures_stay_near_float32s(golden, file, index):
    """Every layer in bfloat16, which is coarser than training's setting (the highest resolutions only)."""
    g, case, p, G = open_case(golden, file, index)
    bound = BFLOAT16_BOUNDS[file]
    half = bind(definition(Generator, replace(G.config, activation_dtype="bfloat16", num_fp16_res=10)), flat(G))
    z, c = g[p + "z"], (g[p + "c"] if case["c_dim"] else None)
    exact, rough = np.asarray(G(z, c)), np.asarray(half(z, c))
    error, largest = float(np.abs(rough - exact).max()), float(np.abs(exact).max())
    record_fidelity("bfloat16", f"{file}/{p}", error, largest, bound * largest)
    assert rough.dtype == np.float32 and 0 < error < bound * largest


@pytest.mark.parametrize("index, batch, bound", [(0, 8, 0.05), (1, 4, 0.05)])
def test_bfloat16_logits_stay_near_float32s(golden, index, batch, bound):
    g = golden("discriminator")
    case = g.meta["cases"][index]
    p = case["prefix"]
    options = {k: v for k, v in case.items() if k not in NOT_OPTIONS}
    state = g.group(p + "state/")
    exact = discriminator_from_state_dict(state, **options)
    half = discriminator_from_state_dict(state, **options, activation_dtype="bfloat16")
    img = jnp.asarray(g.nhwc(p + "img")[:batch])
    c = jnp.asarray(g[p + "c"][:batch]) if case["c_dim"] else None
    found = [np.asarray(D(img, c)) for D in (exact, half)]
    error, largest = float(np.abs(found[1] - found[0]).max()), float(np.abs(found[0]).max())
    record_fidelity("bfloat16", f"discriminator/{p}", error, largest, bound * largest)
    assert 0 < error < bound * largest
