"""Score of the final model, from its export alone."""

import json

from sg3x.config import stage_params
from sg3x.files.atomic import atomic_write
from sg3x.metrics.evaluate import evaluate_generator
from sg3x.networks.store import load_generator
from stages.common import DOWNLOADS, MODEL, REFERENCE, RESULTS, main, progress, use_compilation_cache


def evaluate() -> None:
    params = stage_params("evaluate")
    use_compilation_cache()
    result = evaluate_generator(
        load_generator(MODEL),
        REFERENCE,
        num_samples=params.evaluate.num_samples,
        first_seed=params.evaluate.first_seed,
        batch=params.evaluate.batch_size,
        inception_path=params.features.inception_path,
        inception_url=params.features.inception_url,
        downloads=DOWNLOADS,
        progress=progress("samples scored"),
    )
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    atomic_write(RESULTS / "metrics.json", text.encode())
    print(text)


if __name__ == "__main__":
    main(evaluate)
