"""Whole generator, discriminator and training step at a preset's shapes, against torch; floor: the bare convolutions.

`python -m benchmarks networks` takes the demo's shapes, `--full` the 128x128 network's too, one picture at a time (some
twenty minutes and 5 GiB). A whole network in the depthwise form would take minutes a call: its layers are in
`filtered_lrelu` and `modulated_conv`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.baselines import torch_networks
from benchmarks.harness import compiled, interleaved, keep, report
from sg3x.config import load_params
from sg3x.networks import discriminator
from sg3x.training import step
from sg3x.training.options import train_config
from sg3x.training.state import State, TrainConfig, init_state

# preset -> pictures at a time
DEMO, PAPER = {"demo": 8}, {"stylegan3-t-128": 1}


def load(preset: str, batch: int) -> tuple[TrainConfig, State, np.ndarray, np.ndarray]:
    """Configuration in float32, state, latents and real pictures."""
    from dataclasses import replace

    config = train_config(load_params(Path("presets") / f"{preset}.yaml"))
    full = {"activation_dtype": "float32"}
    config = replace(
        config, batch_size=batch, generator=replace(config.generator, **full),
        discriminator=replace(config.discriminator, **full),
    )  # fmt: skip
    state = jax.jit(lambda: init_state(config.generator, config.discriminator, 0))()
    rng, side = np.random.RandomState(0), config.generator.img_resolution
    z = rng.randn(batch, config.generator.z_dim).astype(np.float32)
    return config, state, z, rng.randint(0, 256, (batch, side, side, 3)).astype(np.uint8)


def generator(preset: str, batch: int) -> dict[str, dict[str, Callable[[], Any]]]:
    config, state, z, _ = load(preset, batch)

    def forward(g, buffers, z):
        return step.generate(config, g, buffers, z, None)[0]

    def backward(g, buffers, z):
        return jax.value_and_grad(lambda g: jnp.mean(jnp.square(forward(g, buffers, z))))(g)

    network, w = torch_networks.Generator(config.generator), torch.randn(batch, config.generator.w_dim)

    def torch_forward():
        with torch.no_grad():
            network(w)

    def torch_backward():
        torch.autograd.grad(network(w).square().mean(), list(network.parameters()))

    inputs = torch_networks.convolution_inputs(network, w)

    def torch_floor():
        for x, weight, padding in inputs:
            torch.autograd.grad(F.conv2d(x, weight, padding=padding).sum(), (x, weight))

    arguments = state["g"], state["g_buffers"], z
    return {
        "forward": {"ours": compiled(forward, *arguments), "torch": torch_forward},
        "forward + backward": {
            "ours": compiled(backward, *arguments),
            "torch": torch_backward,
            "torch, bare convolutions": torch_floor,
        },
    }


def discriminating(preset: str, batch: int) -> dict[str, dict[str, Callable[[], Any]]]:
    config, state, _, real = load(preset, batch)
    images = step.to_float(jnp.asarray(real))

    def backward(d, images):
        return jax.value_and_grad(lambda d: jnp.mean(discriminator(d, config.discriminator, images)))(d)

    network, x = torch_networks.Discriminator(config.discriminator), torch.randn(batch, 3, *images.shape[1:3])

    def torch_backward():
        torch.autograd.grad(network(x).mean(), list(network.parameters()))

    return {"forward + backward": {"ours": compiled(backward, state["d"], images), "torch": torch_backward}}


def whole_step(preset: str, batch: int) -> dict[str, dict[str, Callable[[], Any]]]:
    config, state, _, real = load(preset, batch)
    phases = [
        compiled(partial(step.generator_phase, config), state),
        compiled(partial(step.discriminator_phase, config), state, real),
        compiled(partial(step.end_phase, config), state),
    ]
    g, d = torch_networks.Generator(config.generator), torch_networks.Discriminator(config.discriminator)
    w, pictures = torch.randn(batch, config.generator.w_dim), torch.randn(batch, 3, *real.shape[1:3])
    main = {
        "ours": lambda: [phase() for phase in phases],
        "torch": lambda: torch_networks.step(g, d, w, pictures),
    }
    r1 = {"ours": compiled(partial(step.r1_phase, config), state, real)}
    return {"step (without R1)": main, f"R1 phase (every {config.r1_interval} steps)": r1}


NETWORKS = {"generator": generator, "discriminator": discriminating, "step": whole_step}


def main(full: bool = False) -> None:
    for name in NETWORKS:
        measure(name, full)


def measure(name: str, full: bool) -> None:
    """One of NETWORKS. The large network is measured after the small one's table is kept: it may be cut short."""
    tables = []
    for preset, batch in (DEMO | PAPER if full else DEMO).items():
        rounds, warm_up = (5, True) if preset in DEMO else (1, False)
        for title, contestants in NETWORKS[name](preset, batch).items():
            found = interleaved(contestants, rounds, warm_up)
            tables.append(report(f"{name}, {title}, {preset}, {batch} at a time", found, "ours"))
            keep(name, tables)
