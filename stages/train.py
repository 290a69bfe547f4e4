"""One training segment: checkpoints/FROM -> checkpoints/TO (thousands of images)."""

import argparse
import os
from pathlib import Path

from sg3x.config import stage_params
from sg3x.data.prepare import load_arrays
from sg3x.files.fingerprint import hash_tree
from sg3x.training.loop import Segment, run_segment
from sg3x.training.options import train_config
from stages.common import ARRAYS, CHECKPOINTS, SCRATCH, main, use_compilation_cache


def train() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--from", dest="start", required=True)
    arguments.add_argument("--to", dest="end", required=True)
    given = arguments.parse_args()
    params = stage_params("train")
    use_compilation_cache()
    images, facts = load_arrays(ARRAYS)
    segment = Segment(
        parent=CHECKPOINTS / given.start,
        out=CHECKPOINTS / given.end,
        end_kimg=int(given.end),
        scratch_root=SCRATCH,
        log_kimg=params.log_kimg,
        checkpoint_minutes=float(os.environ.get("SG3X_CHECKPOINT_MINUTES", "2")),
        identity={
            "params": params.values(),
            "data": facts["fingerprint"],
            "code": hash_tree(Path(__file__).parent.parent / "sg3x"),
        },
    )
    run_segment(train_config(params), segment, images, facts["fingerprint"])


if __name__ == "__main__":
    main(train)
