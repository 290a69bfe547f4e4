"""What logging and checkpointing cost: the loop with them against the bare step; and what `deterministic` costs.

    python -m benchmarks.overhead [--params params.yaml] [--steps 64] [--rounds 5] [--layouts]

In one process, interleaved, medians. "bare": the compiled programs on a batch that is on the device already. "loop": the
same steps with reading the pictures, a row of history and a line of progress every `log_kimg`, and a background checkpoint
once a round, whose cost is then scaled to `run.checkpoint_minutes`. `--layouts`: whole batch, two parts, deterministic.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sg3x.config import load_params
from sg3x.data.sampler import BatchReader, Sampler
from sg3x.training.history import history_row
from sg3x.training.layout import choose_layout
from sg3x.training.options import train_config
from sg3x.training.ordered import make_programs
from sg3x.training.programs import data_mesh, replicate
from sg3x.training.progress import Progress
from sg3x.training.report import Reporter
from sg3x.training.state import init_state, zero_statistics

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

    def loop(self, steps: int, log_every: int, folder: Path) -> tuple[float, float]:
        """(seconds per step with reading and logging, seconds that one background checkpoint adds)."""
        rows = lambda sampler, counter: self.programs.arrange(sampler.rows(counter, self.config.batch_size))  # noqa: E731
        reader = BatchReader(self.images, Sampler(len(self.images), 0), self.config.batch_size, rows)
        report, progress, history = Reporter(folder, folder, 1000), Progress(folder, {}), []
        took = {}
        for saving in (False, True):
            started = CLOCK()
            for number in range(1, steps + 1):
                self.state = self.programs(self.state, self.programs.place(reader.read(number)), self.step)
                self.programs.keep_up(8)
                self.step += 1
                if number % log_every == 0:
                    totals, p = jax.device_get((self.state["statistics"], self.state["ada"]["p"]))
                    history.append(history_row(totals, float(p), number, history))
                    report.row(history[-1], number, 1, 1.0, {"step": 1.0})
                    fresh = replicate(zero_statistics(), self.programs.replicated)
                    self.state = {**self.state, "statistics": fresh}
                if saving and number == 1:
                    progress.save(jax.device_get(self.state), number, history)
            jax.block_until_ready(self.state)
            progress.finish()
            took[saving] = CLOCK() - started
        reader.close()
        progress.close()
        return took[False] / steps, max(took[True] - took[False], 0.0)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments.add_argument("--steps", type=int, default=64)
    arguments.add_argument("--rounds", type=int, default=5)
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
    bench = Bench(params)
    log_every = max(1, round(params.log_kimg * 1000 / params.batch_size))
    bench.bare(4)
    bare, looped, saves = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            bare.append(bench.bare(given.steps))
            per_step, save = bench.loop(given.steps, log_every, Path(folder))
            looped.append(per_step)
            saves.append(save)
    step = statistics.median(bare)
    logging = statistics.median(b - a for a, b in zip(bare, looped, strict=True)) / step
    checkpoints = statistics.median(saves) / (params.run.checkpoint_minutes * 60)
    return {
        "clock": CLOCK.__name__, "step_seconds": round(step, 5), "log_every_steps": log_every,
        "reading_and_logging_percent": round(100 * logging, 2),
        "checkpoint_seconds": round(statistics.median(saves), 3), "checkpointing_percent": round(100 * checkpoints, 2),
        "together_percent": round(100 * (logging + checkpoints), 2),
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
    times: dict[str, list[float]] = {name: [] for name in benches}
    for bench in benches.values():
        bench.bare(2)
    for _ in range(given.rounds):
        for name, bench in benches.items():
            times[name].append(bench.bare(max(16, given.steps // 4)))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {name: round(value / medians["whole"], 3) for name, value in medians.items()}


if __name__ == "__main__":
    main()
