"""Kills `dvc` alone at random moments of every stage, runs it again with other parameters, and looks for foreign bytes.

    python -m benchmarks.orphans --rounds 50

Two sets of parameters are run undisturbed first, in a copy of the project. In a round one of them is run at a stage, `dvc` alone
gets SIGKILL, and at once `dvc repro` runs that stage with the other parameters. Its output has to be the undisturbed one, at
once and after the time in which an orphan would have ended.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sg3x.files.fingerprint import hash_file, hash_tree

ROOT = Path(__file__).parents[1]
SETS: tuple[dict[str, Any], ...] = (
    {"fetch": {"count": 400, "size": 256}, "seed": 0, "generate": {"first_seed": 0}, "walk": {"seeds": [0, 1]}},
    {"fetch": {"count": 90, "size": 96}, "seed": 1, "generate": {"first_seed": 50}, "walk": {"seeds": [2, 3]}},
)
STAGES = {
    "fetch": ["data/raw"], "prepare": ["data/arrays"], "reference": ["data/reference"], "init": ["checkpoints/0"],
    "train@1": ["checkpoints/1"], "score@1": ["results/grids/1.png", "results/segments/1.json"],
    "export": ["models/generator", "results/history.tsv"], "generate": ["samples", "results/samples.png"],
    "evaluate": ["results/metrics.json"], "walk": ["results/walk.gif", "results/walk.png"],
    "curves": ["results/curves.png"], "figures": ["results/figures"], "report": ["results/report.html"],
}  # fmt: skip


class Bench:
    """A copy of the project, and what its outputs are without kills."""

    def __init__(self, folder: Path, stages: list[str], seed: int) -> None:
        from tests.workflow.project import copy_project

        self.project, self.stages, self.dice = copy_project(folder), stages, random.Random(seed)
        self.right: list[dict[str, list[str]]] = []
        self.seconds: dict[str, float] = {}
        for which in range(2):
            self.choose(which)
            found = {}
            for stage in stages:
                started = time.monotonic()
                self.project.run("dvc", "repro", stage)
                self.seconds[stage] = max(self.seconds.get(stage, 0.0), time.monotonic() - started)
                found[stage] = self.outputs(stage)
            self.right.append(found)

    def choose(self, which: int) -> None:
        self.project.set_params(**SETS[which])

    def outputs(self, stage: str) -> list[str]:
        paths = [self.project.folder / out for out in STAGES[stage]]
        return [hash_tree(path) if path.is_dir() else hash_file(path) if path.exists() else "none" for path in paths]

    def round(self) -> tuple[str, bool]:
        """The stage that was struck, and whether its output is right."""
        stage, which = self.dice.choice(self.stages), self.dice.randrange(2)
        self.choose(which)
        self.project.run("dvc", "repro", stage)  # all before it, from the run cache
        dvc = self.project.start("dvc", "repro", "-f", "-s", "--no-run-cache", stage)
        time.sleep(self.dice.uniform(0.5, self.seconds[stage]))
        struck = dvc.poll() is None
        if struck:
            os.kill(dvc.pid, signal.SIGKILL)
        dvc.wait()
        if dvc.stdout is not None:
            dvc.stdout.close()
        self.choose(1 - which)
        # Half of the time what comes next is restored from the run cache, half of the time it is made.
        if self.dice.random() < 0.5:
            shutil.rmtree(self.project.folder / ".dvc" / "cache" / "runs", ignore_errors=True)
        self.project.run("dvc", "repro", stage)
        same = self.outputs(stage) == self.right[1 - which][stage]
        time.sleep(2)
        return (stage if struck else "(had ended)"), same and self.outputs(stage) == self.right[1 - which][stage]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=50)
    arguments.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    tally: Counter[str] = Counter()
    foreign = []
    with tempfile.TemporaryDirectory(prefix="sg3x-orphans-") as place:
        bench = Bench(Path(place) / "project", given.stages, given.seed)
        print(f"undisturbed, seconds: { {k: round(v, 1) for k, v in bench.seconds.items()} }", flush=True)
        for number in range(given.rounds):
            stage, right = bench.round()
            tally[stage] += 1
            if not right:
                foreign.append(f"round {number}: {stage}")
            print(f"round {number}: {stage} {'as undisturbed' if right else 'FOREIGN BYTES'}", flush=True)
    print(json.dumps({"rounds": given.rounds, "foreign": foreign, "killed": dict(sorted(tally.items()))}, indent=1))
    sys.exit(1 if foreign else 0)


if __name__ == "__main__":
    main()
