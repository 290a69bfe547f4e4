"""A TPU v5e's static estimates, by its compiler, with no TPU: formulations of filtered_lrelu on single layers. Needs libtpu.

Four images on one chip, bfloat16. XLA's operations carry the compiler's `estimated_cycles`. A Pallas kernel carries none: for it
the bundles of each loop in the compiler's final listing are counted, times the loop's rounds, one cycle each.
A whole step: `sg3x preflight --target v5e:2x4`.
"""

from __future__ import annotations

import os
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import keep

TARGET = "v5e:2x4"
# name: samples a chip, input side, output side, channels
LAYERS = {"L1, 38 -> 36, 512": (4, 38, 36, 512), "L12, 150 -> 148, 256": (4, 150, 148, 256)}
ADDRESS = re.compile(r"\s*(0x[0-9a-f]+)\s+(LB|PF|LH|LE|PB)?\s*(?:\S+)?\s*: (>*)")
PROLOGUE = 500  # bundles of one program instance outside its loops


def kernel_bundles(folder: Path, rounds: list[int]) -> int | None:
    """Bundles that one instance of the newest kernel listed in `folder` issues; `rounds` of its loops, in their order."""
    listings = [f for f in folder.glob("*-final_bundles.txt") if "analysis" not in f.name and "_fun" in f.name]
    if not listings:
        return None
    lengths, start = [], None
    for line in max(listings, key=lambda f: f.stat().st_mtime_ns).read_text().splitlines():
        found = ADDRESS.match(line)
        if found is None:
            continue
        if found[2] == "LB" and found[3] == ">>":
            start = int(found[1], 16)
        elif start is not None and "sbr.rel" in line and found[3]:
            lengths.append(int(found[1], 16) - start + 6)  # with the branch's delay slots
            start = None
    if len(lengths) != len(rounds):
        return None
    return PROLOGUE + sum(length * count for length, count in zip(lengths, rounds, strict=True))


def main(full: bool = False) -> None:
    from sg3x.preflight.target import find_target, prepare_environment

    with tempfile.TemporaryDirectory() as listings:
        os.environ["LIBTPU_INIT_ARGS"] = f"--xla_jf_dump_to={listings} --xla_jf_dump_llo_text=true"
        prepare_environment(TARGET)
        target = find_target(TARGET)
        rows = [
            row
            for layer, shape in LAYERS.items()
            for impl in (("banded", "pallas", "reference") if full else ("banded", "pallas"))
            for row in measure(target, layer, shape, impl, Path(listings))
        ]
    keep("tpu_static", rows, target=TARGET)


def measure(
    target: Any, layer: str, shape: tuple[int, int, int, int], impl: str, listings: Path
) -> list[dict[str, Any]]:
    """Forward and backward (the gradient alone: what recomputes, recomputes in it) of one layer."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import SingleDeviceSharding

    from sg3x.preflight.report import read_program
    from sg3x.signal import design_lowpass_filter, filtered_lrelu

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
    for name, function, arguments, rounds in (
        ("forward", forward, (x,), [size, 5, out]),
        ("backward", backward, (x, dy), [size, out, 5, size]),
    ):
        phase = read_program(name, jax.jit(function).lower(*arguments).compile())
        row = {"layer": layer, "formulation": impl, "pass": name, "ms": None, "kernel_ms": None}
        row["ms"] = round((phase.cycles or 0) / target.chip.clock * 1e3, 3)
        bundles = kernel_bundles(listings, rounds) if impl == "pallas" else None
        if bundles is not None:
            row["kernel_ms"] = round(bundles * n * -(-channels // 128) / target.chip.clock * 1e3, 3)
        rows.append(row | {"temporaries_bytes": phase.temporaries_bytes})
        print(row, flush=True)
    return rows
