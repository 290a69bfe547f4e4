"""What `run.fid_every_kimg` costs: one measurement of the samples against the training between two of them.

    python -m benchmarks.watching [--params presets/demo.yaml] [--samples 2000] [--every 4] [--rounds 3]

In one process, interleaved, medians; random pictures, random features. A measurement draws, extracts features and computes the
distance; what is done once (compiling, the real pictures' half of the distance) is left out. The ratio is that of the extra time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import jax
import numpy as np

from benchmarks import overhead
from sg3x.allocator import keep_freed_memory
from sg3x.config import load_params
from sg3x.metrics.during_training import open_during_training
from sg3x.metrics.features.extractor import random_extractor
from sg3x.metrics.score import compute_reference, save_reference
from sg3x.training.watch.sample_scores import SampleScores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", default="presets/demo.yaml")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--every", type=float, default=4.0, help="kimg")
    parser.add_argument("--steps", type=int, default=32, help="that a round times")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    bench = overhead.Bench(load_params(given.params))
    with tempfile.TemporaryDirectory() as folder:
        real = Path(folder, "reference")
        save_reference(real, compute_reference(np.tile(bench.images, (16, 1, 1, 1)), random_extractor(), "data"))
        gauge = open_during_training(
            real, bench.images, "data", every_kimg=given.every, num_samples=given.samples, first_seed=0,
            inception_path=None, inception_url=None, downloads=Path(folder),
        )  # fmt: skip
        quality = SampleScores(bench.config, gauge, Path(folder), None, 0)
        bench.bare(4)
        quality.measure(bench.state, 0)
        keep_freed_memory()  # all is compiled
        steps, measurements = [], []
        for _ in range(given.rounds):
            steps.append(bench.bare(given.steps))
            jax.block_until_ready(bench.state)
            started = overhead.CLOCK()
            quality.measure(bench.state, 0)
            measurements.append(overhead.CLOCK() - started)
    between = statistics.median(steps) * given.every * 1000 / bench.config.batch_size
    one = statistics.median(measurements)
    print(f"{given.params}: {given.samples} samples every {given.every:g} kimg, {gauge.extractor.name}")
    print(f"one measurement: {one / between * given.every:.3f} kimg of training")
    print(f"training with it: {1 + one / between:.3f} of the time without")


if __name__ == "__main__":
    main()
