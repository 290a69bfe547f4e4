"""One training segment: checkpoints/FROM -> checkpoints/TO (thousands of images)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sg3x.allocator import keep_freed_memory
from sg3x.config import declared_code, declared_values, load_params, stage_params, this_segment
from sg3x.data.prepare import load_arrays
from sg3x.files.environment import checkpoint_minutes
from sg3x.training.config import train_config
from sg3x.training.defaults import describe, resolve
from sg3x.training.hosts.join import is_first, join
from sg3x.training.hosts.launch import launch
from sg3x.training.run.loop import Segment, run_segment
from sg3x.training.run.scratch import code_fingerprint
from sg3x.training.watch.voice import unbroken_output
from stages.common import (
    ARRAYS,
    CHECKPOINTS,
    DOWNLOADS,
    QUALITY,
    REFERENCE,
    SCRATCH,
    main,
    set_up_jax,
)

if TYPE_CHECKING:
    from sg3x.metrics.during_training import DuringTraining

ROOT = Path(__file__).parent.parent


def train() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--to", help="the segment's end in kimg; not given: the one that DVC names in DVC_STAGE")
    arguments.add_argument("--from", dest="start", help="as params.yaml has it; kept for scripts that give it")
    everything = load_params()
    start, end = this_segment(everything, arguments.parse_args().to)
    run = everything.run  # how, not what: no part of dvc.yaml's params, so that a change trains nothing again
    launch(run.launcher, ["-m", "stages.train", "--to", end])
    join()
    params = stage_params("train", everything)
    set_up_jax()
    images, facts = load_arrays(ARRAYS)
    segment = Segment(
        parent=CHECKPOINTS / start,
        out=CHECKPOINTS / end,
        end_kimg=int(end),
        scratch_root=SCRATCH,
        log_kimg=params.log_kimg,
        identity={
            "params": declared_values(everything, "train"),
            "data": facts["fingerprint"],
            "code": code_fingerprint(ROOT, declared_code("train")),
        },
        batch_per_device=params.batch_per_device,
        deterministic=params.deterministic,
        checkpoint_minutes=checkpoint_minutes(run.checkpoint_minutes),
        checkpoint_kimg=run.checkpoint_kimg,
        snapshot_kimg=run.snapshot_kimg,
        tensorboard=run.tensorboard,
        when_compiled=keep_freed_memory,
        gauge=open_gauge(images, facts["fingerprint"]),
        quality=QUALITY / f"{end}.tsv",
    )
    if is_first():
        print(describe(resolve(params)), flush=True)
    run_segment(train_config(params), segment, images, facts["fingerprint"])


def open_gauge(images: np.ndarray, fingerprint: str) -> DuringTraining | None:
    """Opens the metric of samples while training, if run.fid_every_kimg asks for one; it decides no bit of a checkpoint."""
    params = load_params()
    if params.run.fid_every_kimg is None:
        return None
    from sg3x.metrics.during_training import open_during_training

    return open_during_training(
        REFERENCE,
        images,
        fingerprint,
        every_kimg=params.run.fid_every_kimg,
        num_samples=params.run.fid_samples,
        first_seed=params.evaluate.first_seed,
        inception_path=params.features.inception_path,
        inception_url=params.features.inception_url,
        downloads=DOWNLOADS,
    )


if __name__ == "__main__":
    with unbroken_output():
        main(train, keep_memory=False, saves=True)
