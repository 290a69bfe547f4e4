"""Scores a generator against the reference features of the real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sg3x.metrics.extractor import Progress, extractor_from_record
from sg3x.metrics.score import load_reference, score
from sg3x.render.sampling import sample_images


def evaluate_generator(
    generator: Any,
    reference_folder: Path,
    *,
    num_samples: int,
    first_seed: int,
    batch: int,
    inception_path: str | None,
    inception_url: str | None,
    downloads: Path,
    progress: Progress | None = None,
) -> dict[str, float | int | str]:
    """Flat JSON for `dvc metrics`: the score, and what has to be known beside it. Truncation is never applied.

    Args:
        num_samples: pictures of seeds first_seed, first_seed + 1, ...
        batch: pictures per call of the generator.
        inception_path, inception_url, downloads: where the Inception file is, if the reference was made with it.
    """
    reference = load_reference(reference_folder)
    extractor = extractor_from_record(
        reference.extractor, inception_path=inception_path, inception_url=inception_url, downloads=downloads
    )
    seeds = range(first_seed, first_seed + num_samples)
    batches = sample_images(generator, seeds, batch=batch)
    counted = None if progress is None else lambda done, _: progress(done, num_samples)
    return {**score(batches, reference, extractor, progress=counted), "first_seed": first_seed}
