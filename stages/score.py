"""Score and sample grid of one segment's averaged generator, which checkpoint they are of, and what was measured on the way."""

import json

from sg3x.config import load_params, stage_params, this_segment
from sg3x.files.atomic import atomic_write
from sg3x.files.fingerprint import hash_file
from sg3x.metrics.evaluate import Scoring, score_generator
from sg3x.render.images import save_png
from sg3x.render.sampling import sample_grid
from sg3x.training.run.checkpoints import load_averaged
from sg3x.training.run.scratch import give_up_finished
from stages.common import CHECKPOINTS, DOWNLOADS, QUALITY, REFERENCE, RESULTS, SCRATCH, main, progress, set_up_jax


def score() -> None:
    _, kimg = this_segment(load_params())
    params = stage_params("score")
    set_up_jax()
    give_up_finished(SCRATCH, CHECKPOINTS / kimg)  # DVC has it, or this stage would not run
    generator, meta, _ = load_averaged(CHECKPOINTS / kimg)
    evaluate, features = params.evaluate, params.features
    scoring = Scoring.open(
        REFERENCE,
        seeds=range(evaluate.first_seed, evaluate.first_seed + evaluate.num_samples),
        batch=evaluate.batch_size,
        inception_path=features.inception_path,
        inception_url=features.inception_url,
        downloads=DOWNLOADS,
    )
    result = score_generator(generator, scoring, progress=progress(f"samples scored at {kimg} kimg"))
    grid = sample_grid(
        generator,
        first_seed=params.generate.first_seed,
        columns=params.generate.grid_columns,
        rows=params.generate.grid_rows,
        enlarge_to=params.generate.grid_size,
        batch=evaluate.batch_size,
    )
    save_png(RESULTS / "grids" / f"{kimg}.png", grid)
    for folder in ("segments", "quality"):
        (RESULTS / folder).mkdir(parents=True, exist_ok=True)
    # The manifest holds every file's sha256, so its own names the whole checkpoint.
    lineage = {"checkpoint_sha256": hash_file(CHECKPOINTS / kimg / "manifest.json")}
    text = json.dumps({"kimg": meta["nimg"] / 1000, **result, **lineage}, indent=1) + "\n"
    atomic_write(RESULTS / "segments" / f"{kimg}.json", text.encode())
    # In git, so that a clone draws the whole curve without the checkpoints before its own.
    atomic_write(RESULTS / "quality" / f"{kimg}.tsv", (QUALITY / f"{kimg}.tsv").read_bytes())
    print(text)


if __name__ == "__main__":
    main(score)
