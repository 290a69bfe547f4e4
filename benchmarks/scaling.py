"""How a training step's time and memory grow: with the batch, with the resolution, with virtual devices (the demo's network);
and how preparing grows with the number of pictures.

Virtual devices share the same cores: what is seen is the price of dividing, not a gain. They need a process of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import interleaved, keep, report

DEVICES = "xla_force_host_platform_device_count"


def by_batch(sizes: tuple[int, ...]) -> tuple[dict[str, Any], dict[str, int]]:
    return _phases({f"batch {n}": ("demo", n, None) for n in sizes}, "G's phase against the batch, demo, 32x32")


def by_resolution(sides: tuple[int, ...]) -> tuple[dict[str, Any], dict[str, int]]:
    return _phases(
        {f"{s}x{s}": ("demo", 4, s) for s in sides}, "G's phase against the resolution, demo's network, 4 at a time"
    )


def _phases(shapes: dict[str, tuple[str, int, int | None]], title: str) -> tuple[dict[str, Any], dict[str, int]]:
    """A table of G's phase at each shape, ratios to the first, and the bytes of temporaries."""
    import jax

    from benchmarks.networks import load
    from sg3x.training.execute.compiled import in_one_go
    from sg3x.training.execute.compiler import compiler_options
    from sg3x.training.state import init_state

    contestants: dict[str, Callable[[], Any]] = {}
    memory = {}
    for name, (preset, batch, side) in shapes.items():
        config, state, _, _ = load(preset, batch)
        if side is not None:
            config = replace(
                config,
                generator=replace(config.generator, img_resolution=side),
                discriminator=replace(config.discriminator, img_resolution=side),
            )
            state = init_state(config.generator, config.discriminator, 0)
        program = jax.jit(in_one_go(config, "G")).lower(state).compile(compiler_options(False))
        memory[name] = program.memory_analysis().temp_size_in_bytes
        contestants[name] = lambda program=program, state=state: jax.block_until_ready(program(state))
    return report(title, interleaved(contestants, 5), next(iter(shapes))), memory


def on_virtual_devices(count: int) -> dict[str, float]:
    """Times of the demo's G phase, 8 at a time, in a process that sees so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --{DEVICES}={count}"
    code = "from benchmarks.scaling import measure_here; measure_here()"
    found = subprocess.run([sys.executable, "-c", code], env={**os.environ, "XLA_FLAGS": flags}, check=True, stdout=-1)
    times: dict[str, float] = json.loads(found.stdout.decode().splitlines()[-1])
    return times


def measure_here() -> None:
    """Prints the times of G's phase on all devices there are, the latents divided among them."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    from benchmarks.networks import load
    from sg3x.training.execute.compiled import data_mesh, in_one_go
    from sg3x.training.execute.compiler import compiler_options

    config, state, _, _ = load("demo", 8)
    mesh = data_mesh()
    state = jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
    with jax.set_mesh(mesh):
        program = jax.jit(in_one_go(config, "G")).lower(state).compile(compiler_options(False))
        found = interleaved({"G": lambda: jax.block_until_ready(program(state))}, 5)
    print(json.dumps(found["G"]))


def preparing(counts: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """CPU milliseconds of `prepare` on so many pictures of 256x256, to 32x32 and mirrored, in one process."""
    import numpy as np
    from PIL import Image

    from sg3x.data.prepare import prepare_dataset

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw" / "train" / "cat"
        raw.mkdir(parents=True)
        made = 0
        for count in counts:
            for i in range(made, count):
                pixels = np.random.RandomState(i).randint(0, 256, (32, 32, 3)).astype(np.uint8)
                Image.fromarray(pixels).resize((256, 256), Image.Resampling.BICUBIC).save(raw / f"{i:06}.png")
            made = count
            started, worked = time.perf_counter(), time.process_time()
            prepare_dataset(
                Path(folder) / "raw", Path(folder) / "out", resolution=32, resize_filter="lanczos", nonsquare="crop",
                unreadable="error", flips=True, max_images=None, workers=1,
            )  # fmt: skip
            wall, cpu = 1e3 * (time.perf_counter() - started), 1e3 * (time.process_time() - worked)
            found[f"{count} pictures"] = {"wall_ms": round(wall, 3), "cpu_ms": round(cpu, 3)}
    return found


def main(full: bool = False) -> None:
    batches, batch_memory = by_batch((4, 8, 16, 32, 64) if full else (4, 16))
    sides, side_memory = by_resolution((16, 32, 64, 128) if full else (16, 32, 64))
    devices = {f"{n} virtual devices": on_virtual_devices(n) for n in ((1, 2, 4, 8) if full else (1, 2))}
    counts = (100, 1000, 10000) if full else (100, 400)
    tables = [
        batches,
        sides,
        report("G's phase, demo, 8 in all, on devices that share the cores", devices, "1 virtual devices"),
        report("prepare, 256x256 to 32x32, mirrored, one process", preparing(counts), f"{counts[0]} pictures"),
    ]
    keep("scaling", tables, temporaries_bytes={**batch_memory, **side_memory})
