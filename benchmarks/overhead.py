"""What logging and checkpointing cost: the loop with them against the bare step; and what `deterministic` costs.

    python -m benchmarks.overhead [--params params.yaml] [--steps 16] [--rounds 20] [--layouts]

In one process, interleaved, medians of the rounds' differences: some steps of the compiled programs on a batch that is on the
device already ("bare"); the same steps reading their pictures; also with a row of history and a line of progress; also with a
background checkpoint. What a row and a checkpoint cost is then scaled to `log_kimg` and `run.checkpoint_minutes`.
`--layouts`: whole batch, two parts, deterministic.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sg3x.allocator import keep_freed_memory
from sg3x.config import load_params
from sg3x.data.sampler import BatchReader, Sampler
from sg3x.training.config import train_config
from sg3x.training.layout import choose_layout
from sg3x.training.ordered import make_programs
from sg3x.training.programs import data_mesh, replicate
from sg3x.training.run.progress import Progress
from sg3x.training.state import init_state, zero_statistics
from sg3x.training.watch.console import Reporter
from sg3x.training.watch.history import history_row

CLOCK: Callable[[], float] = time.perf_counter


class Bench:
    """One compiled step on random pictures."""

    def __init__(self, params: Any, batch_per_device: int | None = None, deterministic: bool = False) -> None:
        self.config = train_config(params)
        group = params.discriminator.mbstd_group_size
        layout = choose_layout(params.batch_size, group, jax.device_count(), batch_per_device, deterministic)
        start = init_state(self.config.generator, self.config.discriminator, 0)
        self.programs = make_programs(self.config, data_mesh(), start, layout)
        self.state = replicate(jax.device_get(start), self.programs.replicated)
        side, batch = params.resolution, params.batch_size
        self.images = np.random.RandomState(0).randint(0, 256, (4 * batch, side, side, 3), np.uint8)
        rows = self.programs.arrange(np.arange(batch))
        self.batch = self.programs.place(self.images[rows])
        self.step = 0

    def bare(self, steps: int) -> float:
        """Seconds per step."""
        started = CLOCK()
        for _ in range(steps):
            self.state = self.programs(self.state, self.batch, self.step)
            self.programs.keep_up(8)
            self.step += 1
        jax.block_until_ready(self.state)
        return (CLOCK() - started) / steps

    def loop(self, steps: int, folder: Path, logging: bool = False, saving: bool = False) -> float:
        """Seconds for steps that read their pictures, with what else is asked for at the end."""
        rows = lambda sampler, counter: self.programs.arrange(sampler.rows(counter, self.config.batch_size))  # noqa: E731
        reader = BatchReader(self.images, Sampler(len(self.images), 0), self.config.batch_size, rows)
        report, progress, history = Reporter(folder, folder, 1000), Progress(folder, {}), []
        started = CLOCK()
        if saving:
            progress.save(jax.device_get(self.state), self.step, history)
        for number in range(1, steps + 1):
            self.state = self.programs(self.state, self.programs.place(reader.read(number)), self.step)
            self.programs.keep_up(8)
            self.step += 1
        if logging:
            totals, p = jax.device_get((self.state["statistics"], self.state["ada"]["p"]))
            history.append(history_row(totals, float(p), steps, history))
            report.row(history[-1], steps, 1, 1.0, {"step": 1.0})
            fresh = replicate(zero_statistics(), self.programs.replicated)
            self.state = {**self.state, "statistics": fresh}
        jax.block_until_ready(self.state)
        progress.finish()
        took = CLOCK() - started
        reader.close()
        progress.close()
        return took


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments.add_argument("--steps", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--layouts", action="store_true")
    arguments.add_argument("--cpu-time", action="store_true", help="CPU seconds, for a machine that is busy otherwise")
    given = arguments.parse_args()
    if given.cpu_time:
        global CLOCK
        CLOCK = time.process_time
    params = load_params(given.params)
    print(json.dumps(layouts(params, given) if given.layouts else overhead(params, given), indent=1))


def overhead(params: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Shares of a step's time."""
    bench, steps = Bench(params), given.steps
    log_every = max(1, round(params.log_kimg * 1000 / params.batch_size))
    keep_freed_memory()  # all is compiled: as in the train stage
    bench.bare(4)
    took: dict[str, list[float]] = {"bare": [], "reading": [], "row": [], "checkpoint": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for _ in range(given.rounds):
            took["bare"].append(bench.bare(steps) * steps)
            took["reading"].append(bench.loop(steps, Path(folder)))
            took["row"].append(bench.loop(steps, Path(folder), logging=True))
            took["checkpoint"].append(bench.loop(steps, Path(folder), logging=True, saving=True))

    def added(by: str, to: str) -> float:
        return statistics.median(b - a for a, b in zip(took[to], took[by], strict=True))

    step = statistics.median(took["bare"]) / steps
    reading, row, checkpoint = added("reading", "bare") / steps, added("row", "reading"), added("checkpoint", "row")
    shares = {
        "reading": reading / step,
        "logging": row / (log_every * step),
        "checkpointing": checkpoint / (params.run.checkpoint_minutes * 60),
    }
    return {
        "clock": CLOCK.__name__, "step_seconds": round(step, 5), "log_every_steps": log_every,
        "row_seconds": round(row, 4), "checkpoint_seconds": round(checkpoint, 3),
        **{f"{name}_percent": round(100 * share, 2) for name, share in shares.items()},
    }  # fmt: skip


def layouts(params: Any, given: argparse.Namespace) -> dict[str, float]:
    """Time of a step in parts and deterministic, relative to the whole batch in one go."""
    group = params.discriminator.mbstd_group_size
    half = max(group, params.batch_size // 2 // group * group)
    benches = {
        "whole": Bench(params),
        f"batch_per_device: {half}": Bench(params, half),
        "deterministic": Bench(params, deterministic=True),
    }
    keep_freed_memory()
    times: dict[str, list[float]] = {name: [] for name in benches}
    for bench in benches.values():
        bench.bare(2)
    for _ in range(given.rounds):
        for name, bench in benches.items():
            times[name].append(bench.bare(given.steps))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {name: round(value / medians["whole"], 3) for name, value in medians.items()}


if __name__ == "__main__":
    main()
