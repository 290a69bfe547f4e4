"""A TPU v5e's static estimates, by its compiler, with no TPU: single layers by each formulation of filtered_lrelu, and whole
networks. Needs libtpu.

Batch 32 on eight chips, bfloat16: four images a chip. XLA's operations carry the compiler's `estimated_cycles`; Pallas kernels
are priced by the bundles of their loops (`sg3x.preflight.kernels`). `--full` adds the networks: hours of two cores.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, keep

TARGET = "v5e:2x4"
PACKAGES = ("jax", "jaxlib", "libtpu")
# name: samples a chip, input side, output side, channels
LAYERS = {"L1, 38 -> 36, 512": (4, 38, 36, 512), "L12, 150 -> 148, 256": (4, 150, 148, 256)}
NETWORKS = ("afhqv2-cats-128", "stylegan3-t-128")


def main(full: bool = False) -> None:
    from sg3x.preflight.target import find_target, prepare_environment

    prepare_environment(TARGET)
    target = find_target(TARGET)
    rows = [
        row
        for layer, shape in LAYERS.items()
        for impl in (("banded", "pallas", "reference") if full else ("banded", "pallas"))
        for row in measure(target, layer, shape, impl)
    ]
    networks = kept_networks()
    if full:
        for preset in NETWORKS:
            for what in ("generator", "discriminator", "augmentation", "step"):
                networks |= {f"{preset}, {name}": row for name, row in measure_network(target, preset, what).items()}
                keep("tpu_static", rows, PACKAGES, target=TARGET, networks=networks)
    keep("tpu_static", rows, PACKAGES, target=TARGET, networks=networks)


def kept_networks() -> dict[str, Any]:
    """Those of earlier runs, by name: they take too long to be made again each time."""
    path = RESULTS / "tpu_static.json"
    found: dict[str, Any] = json.loads(path.read_text()).get("networks", {}) if path.exists() else {}
    return found


def measure_network(target: Any, preset: str, what: str) -> dict[str, dict[str, Any]]:
    """phase -> its row: the compiler's estimate, the kernels', memory and the ten largest operations."""
    from sg3x.config import load_params
    from sg3x.preflight.compile import compile_programs
    from sg3x.preflight.kernels import price_kernels
    from sg3x.preflight.report import read_program
    from sg3x.training.config import train_config

    params = load_params(Path("presets") / f"{preset}.yaml")
    compiled, seconds = compile_programs(train_config(params), target, what)
    print(f"{preset}, {what}: compiled in {seconds:.0f} s", flush=True)
    kernels = price_kernels([program.as_text() for program in compiled.values()], target.name)
    phases = {name: read_program(name, program, kernels) for name, program in compiled.items()}
    return {name: network_row(phase, target.chip) for name, phase in phases.items()}


def network_row(phase: Any, chip: Any) -> dict[str, Any]:
    """Milliseconds by group of operations, and what else the report of a program says."""
    from sg3x.preflight.report import KERNELS

    def ms(cycles: int) -> float:
        return round(cycles / chip.clock * 1e3, 2)

    row = {
        "ms": ms(phase.cycles or 0),
        "kernels_ms": ms(phase.groups.get(KERNELS, 0)),
        "groups_ms": {group: ms(cycles) for group, cycles in phase.groups.items()},
        "unpriced": phase.unpriced,
        "limit_ms": round((phase.flops or 0) / chip.peak * 1e3, 2),
        "memory_bytes": phase.memory_bytes,
        "temporaries_bytes": phase.temporaries_bytes,
        "largest": [{"ms": ms(o.cycles), "shape": o.shape, "source": o.source} for o in phase.largest],
    }
    print(row, flush=True)
    return row


def measure(target: Any, layer: str, shape: tuple[int, int, int, int], impl: str) -> list[dict[str, Any]]:
    """Forward and backward (the gradient alone: what recomputes, recomputes in it) of one layer."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import SingleDeviceSharding

    from sg3x.ops import design_lowpass_filter, filtered_lrelu
    from sg3x.preflight.kernels import price_kernels
    from sg3x.preflight.report import read_program

    n, size, out, channels = shape
    taps = design_lowpass_filter(12, 8.0, 16.0, 64)
    place = SingleDeviceSharding(target.devices[0])
    total = (out - 1) * 2 + 1 - size * 2 + 22
    pads = [(total + 2) // 2, total - (total + 2) // 2] * 2
    x = jax.ShapeDtypeStruct((n, size, size, channels), jnp.bfloat16, sharding=place)
    dy = jax.ShapeDtypeStruct((n, out, out, channels), jnp.bfloat16, sharding=place)
    forward = partial(filtered_lrelu, fu=taps, fd=taps, up=2, down=2, padding=pads, clamp=256.0, impl=impl)

    def backward(x: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.vjp(forward, x)[1](dy)[0]

    rows = []
    for name, function, arguments in (("forward", forward, (x,)), ("backward", backward, (x, dy))):
        program = jax.jit(function).lower(*arguments).compile()
        phase = read_program(name, program)
        kernels = price_kernels([program.as_text()], target.name)
        row = {"layer": layer, "formulation": impl, "pass": name, "ms": None, "kernel_ms": None}
        row["ms"] = round((phase.cycles or 0) / target.chip.clock * 1e3, 3)
        if kernels:
            row["kernel_ms"] = round(sum(kernels.values()) / target.chip.clock * 1e3, 3)
        rows.append(row | {"temporaries_bytes": phase.temporaries_bytes})
        print(row, flush=True)
    return rows
