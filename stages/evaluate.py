"""All numbers of the final model, from its export alone: see docs/metrics.md."""

import json

from sg3x.config import stage_params
from sg3x.files.atomic import atomic_write
from sg3x.files.fingerprint import hash_file
from sg3x.files.tables import format_tsv
from sg3x.metrics.evaluate import Scoring, evaluate_generator
from sg3x.networks.store import WEIGHTS, load_generator
from stages.common import DOWNLOADS, MODEL, REFERENCE, RESULTS, main, progress, set_up_jax


def evaluate() -> None:
    params = stage_params("evaluate")
    set_up_jax()
    features, evaluate = params.features, params.evaluate
    scoring = Scoring.open(
        REFERENCE,
        seeds=range(evaluate.first_seed, evaluate.first_seed + evaluate.num_samples),
        batch=evaluate.batch_size,
        inception_path=features.inception_path,
        inception_url=features.inception_url,
        downloads=DOWNLOADS,
    )
    found = evaluate_generator(
        load_generator(MODEL),
        scoring,
        equivariance_samples=evaluate.equivariance_samples,
        path_samples=evaluate.path_samples,
        lpips_path=features.lpips_path,
        progress=progress("samples scored"),
    )
    RESULTS.mkdir(exist_ok=True)
    metrics = {**found.metrics, "model_sha256": hash_file(MODEL / WEIGHTS)}
    text = json.dumps(metrics, indent=1) + "\n"
    atomic_write(RESULTS / "metrics.json", text.encode())
    atomic_write(RESULTS / "neighbours.json", (json.dumps(found.neighbours, indent=1) + "\n").encode())
    atomic_write(RESULTS / "spectrum.tsv", format_tsv(found.spectrum).encode())
    print(text)


if __name__ == "__main__":
    main(evaluate)
