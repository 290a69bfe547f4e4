"""Contestants timed in turns in one process, medians and ratios, kept as JSON."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sg3x.allocator import keep_freed_memory

RESULTS = Path(__file__).parent / "results"


def interleaved(
    contestants: dict[str, Callable[[], Any]], rounds: int, warm_up: bool = True
) -> dict[str, dict[str, float]]:
    """name -> median and least wall and CPU milliseconds of `rounds` calls, one of each contestant in turn, after one to warm
    up (not needed where a call takes half a minute).

    On a machine that does other things too, CPU time is the steadier of the two: both contestants use all cores.
    """
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    # As in the train stage, once these are compiled. Only what a process compiles after its first contest leaves its traces
    # between the blocks, which makes ours slower.
    keep_freed_memory()
    for turn in range(rounds + warm_up):
        for name, run in contestants.items():
            started, worked = time.perf_counter(), time.process_time()
            run()
            if turn or not warm_up:
                wall[name].append(1e3 * (time.perf_counter() - started))
                cpu[name].append(1e3 * (time.process_time() - worked))
    return {
        name: {
            "wall_ms": round(statistics.median(wall[name]), 3),
            "wall_min_ms": round(min(wall[name]), 3),
            "cpu_ms": round(statistics.median(cpu[name]), 3),
            "cpu_min_ms": round(min(cpu[name]), 3),
        }
        for name in contestants
    }


def report(title: str, found: dict[str, dict[str, float]], ours: str) -> dict[str, Any]:
    """Prints a table, ratios being baseline / ours (more than 1: ours is faster), and returns it for the JSON."""
    print(title)
    for name, times in found.items():
        ratio = times["cpu_ms"] / found[ours]["cpu_ms"]
        times["cpu_over_ours"] = round(ratio, 2)
        times["wall_over_ours"] = round(times["wall_ms"] / found[ours]["wall_ms"], 2)
        print(
            f"  {name:34} wall {times['wall_ms']:9.1f} ms  CPU {times['cpu_ms']:9.1f} ms  {ratio:6.2f} x ours",
            flush=True,
        )
    return {"title": title, "ours": ours, "times": found}


def keep(
    name: str, tables: list[dict[str, Any]], packages: Sequence[str] = ("jax", "jaxlib", "torch", "numpy"), **more: Any
) -> None:
    """Writes benchmarks/results/NAME.json with what it was measured on; no names of machines.

    What was measured at other shapes on the same CPU with the same versions stays in it.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    measured_on = {"cpu": cpu_model(), "versions": {package: version(package) for package in packages}}
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(key) == value for key, value in measured_on.items())
    if same and all("title" in table for table in before["tables"] + tables):
        tables = list({table["title"]: table for table in before["tables"] + tables}.values())
    content = {"name": name, **measured_on, "tables": tables, **more}
    path.write_text(json.dumps(content, indent=1) + "\n")


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return f"{models[0]}, {len(models)} cores"
    except (OSError, IndexError):
        return platform.machine()


def compiled(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """function(*arguments), compiled as training programs are, waiting for its result."""
    import jax

    from sg3x.training.execute.compiler import compiler_options

    program = jax.jit(function).lower(*arguments).compile(compiler_options=compiler_options(ordered=True))
    placed = jax.device_put(arguments)
    return lambda: jax.block_until_ready(program(*placed))
