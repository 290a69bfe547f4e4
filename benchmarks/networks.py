"""Whole generator, discriminator and training step at a preset's shapes, against torch and the depthwise form; floor: the bare
convolutions.

`python -m benchmarks generator discriminator step` takes the demo's shapes, `--full` the 128x128 network's too, one picture at
a time, the depthwise form only forward (its gradients take many minutes). The depthwise form computes what ours does, which is
checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.baselines import torch_networks
from benchmarks.baselines.depthwise import networks_in_this_form
from benchmarks.harness import compiled, interleaved, keep, report
from sg3x.config import load_params
from sg3x.networks import discriminator
from sg3x.training import step
from sg3x.training.config import train_config
from sg3x.training.state import State, TrainConfig, init_state

# preset -> pictures at a time
DEMO, PAPER = {"demo": 8}, {"stylegan3-t-128": 1}
DEPTHWISE = "depthwise form"
Tables = dict[str, dict[str, Callable[[], Any]]]


def load(preset: str, batch: int) -> tuple[TrainConfig, State, np.ndarray, np.ndarray]:
    """Configuration in float32, state, latents and real pictures."""
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


def forms(preset: str, function: Callable[..., Any], *arguments: Any) -> dict[str, Callable[[], Any]]:
    """Ours and, at the demo's shapes, the depthwise form."""
    return in_both_forms(function, *arguments) if preset in DEMO else {"ours": compiled(function, *arguments)}


def in_both_forms(function: Callable[..., Any], *arguments: Any) -> dict[str, Callable[[], Any]]:
    """Ours and the depthwise form. A new function for each: JAX remembers what it traced by the function."""
    ours = compiled(lambda *given: function(*given), *arguments)
    with networks_in_this_form():
        depthwise = compiled(lambda *given: function(*given), *arguments)
    return {"ours": ours, DEPTHWISE: depthwise}


def generator(preset: str, batch: int) -> Tables:
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
    drawn = in_both_forms(forward, *arguments)
    np.testing.assert_allclose(drawn[DEPTHWISE](), drawn["ours"](), atol=1e-3)
    return {
        "forward": {**drawn, "torch": torch_forward},
        "forward + backward": {
            **forms(preset, backward, *arguments),
            "torch": torch_backward,
            "torch, bare convolutions": torch_floor,
        },
    }


def discriminating(preset: str, batch: int) -> Tables:
    config, state, _, real = load(preset, batch)
    images = step.to_float(jnp.asarray(real))

    def backward(d, images):
        return jax.value_and_grad(lambda d: jnp.mean(discriminator(d, config.discriminator, images)))(d)

    network, x = torch_networks.Discriminator(config.discriminator), torch.randn(batch, 3, *images.shape[1:3])

    def torch_backward():
        torch.autograd.grad(network(x).mean(), list(network.parameters()))

    return {"forward + backward": {**forms(preset, backward, state["d"], images), "torch": torch_backward}}


def whole_step(preset: str, batch: int) -> Tables:
    config, state, _, real = load(preset, batch)
    phases = [
        forms(preset, partial(step.generator_phase, config), state),
        forms(preset, partial(step.discriminator_phase, config), state, real),
        forms(preset, partial(step.end_phase, config), state),
    ]
    pictures, w = torch.randn(batch, 3, *real.shape[1:3]), torch.randn(batch, config.generator.w_dim)
    trainer = torch_networks.Trainer(
        torch_networks.Generator(config.generator), torch_networks.Discriminator(config.discriminator),
        config.r1_gamma / 2 * config.r1_interval,
    )  # fmt: skip
    main: dict[str, Callable[[], Any]] = {
        form: lambda form=form: [phase[form]() for phase in phases]  # type: ignore[misc]
        for form in phases[0]
    }
    r1 = forms(preset, partial(step.r1_phase, config), state, real)
    return {
        "step (without R1; torch without augmentation)": {**main, "torch": lambda: trainer.step(w, pictures)},
        f"R1 phase (every {config.r1_interval} steps)": {**r1, "torch": lambda: trainer.r1(pictures)},
    }


NETWORKS = {"generator": generator, "discriminator": discriminating, "step": whole_step}


def measure(name: str, full: bool) -> None:
    """One of NETWORKS. The large network is measured after the small one's table is kept: it may be cut short."""
    tables = []
    for preset, batch in (DEMO | PAPER if full else DEMO).items():
        for title, contestants in NETWORKS[name](preset, batch).items():
            slow = {form: contestants.pop(form) for form in [DEPTHWISE] if form in contestants}
            found = interleaved(contestants, 5) | interleaved(slow, 1, preset in DEMO)
            tables.append(report(f"{name}, {title}, {preset}, {batch} at a time", found, "ours"))
            keep(name, tables)
