"""Scores a generator against the reference features of the real images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.drawing.drawable import Drawable
from sg3x.drawing.pictures import sample_images
from sg3x.drawing.plain import PlainGenerator
from sg3x.metrics.arrays import steady_algebra
from sg3x.metrics.distances.memorisation import Memorisation, memorisation
from sg3x.metrics.distances.precision_recall import density_coverage, precision_recall
from sg3x.metrics.distances.spectrum import SpectrumSum, decibel_ratio, spectrum_scores
from sg3x.metrics.features.extractor import Extractor, Progress, extractor_from_record
from sg3x.metrics.motion.equivariance import BATCH, METRICS, equivariance
from sg3x.metrics.motion.path_length import embedding, mean_path_length, path_lengths
from sg3x.metrics.score import Reference, check_extractor, load_reference, rounded, score_features
from sg3x.networks import Generator

Flat = dict[str, float | int | str]
_FEW_FOR_MANIFOLDS = 1000  # below this, precision, recall, density and coverage move with the count
LEAST_SAMPLES = 4  # precision and recall reach to the 3rd neighbour,
LEAST_PICTURES = 6  # coverage to the 5th
_SMALLEST_ROTATED = 32  # pixels
_SHOWN = 6  # samples on each half of the sheet of nearest neighbours
_NEIGHBOURS = 3  # training images beside each


@dataclass(frozen=True)
class Scoring:
    """The reference of a score, and the generator's samples for it. Truncation is never applied.

    Attributes:
        reference: features of the real images.
        extractor: the one that made them.
        seeds: of the samples; everything else that is drawn follows from the first.
        batch: pictures per call of the generator.

    Raises:
        ValueError: if the extractor is another one than the reference's.
    """

    reference: Reference
    extractor: Extractor
    seeds: range
    batch: int

    def __post_init__(self) -> None:
        check_extractor(self.reference, self.extractor)

    @classmethod
    def open(
        cls,
        reference_folder: Path,
        *,
        seeds: range,
        batch: int,
        inception_path: str | None = None,
        inception_url: str | None = None,
        downloads: Path,
    ) -> Scoring:
        """Reads the reference's folder, and Inception where that made it; errors as `extractor_from_record`'s."""
        reference = load_reference(reference_folder)
        extractor = extractor_from_record(
            reference.extractor, inception_path=inception_path, inception_url=inception_url, downloads=downloads
        )
        return cls(reference, extractor, seeds, batch)


@dataclass(frozen=True)
class Evaluation:
    """Everything that is measured of a final model.

    Attributes:
        metrics: flat, for `dvc metrics`.
        spectrum: a row per frequency: periods per picture, power of the reals and samples in dB, ratio in dB.
        neighbours: the sheet of nearest training images: {"first": [...], "closest": [...]}, each a list of
            {"seed", "rows", "distances"}.
    """

    metrics: Flat
    spectrum: list[dict[str, str]]
    neighbours: dict[str, list[dict[str, Any]]]


def score_generator(generator: Drawable, scoring: Scoring, *, progress: Progress | None = None) -> Flat:
    """Flat JSON for `dvc metrics`: the score of a segment. ``progress`` is called with (samples done, all)."""
    rows = [scoring.extractor.features(images) for images in _samples(generator, scoring, progress)]
    return {**score_features(np.concatenate(rows), scoring.reference), "first_seed": scoring.seeds.start}


def evaluate_generator(
    generator: Generator,
    scoring: Scoring,
    *,
    equivariance_samples: int,
    path_samples: int,
    lpips_path: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """All that docs/metrics.md defines, deterministic by the first seed.

    Args:
        equivariance_samples: pictures that are moved; rounded up to whole batches of 16, each moved by one draw.
        path_samples: pairs of latents.
        lpips_path: LPIPS's file, for PPL; None: the path length is measured in the extractor's features.
        progress: called with (samples done, all).

    Raises:
        ValueError: too few samples or pictures, before anything is computed.
    """
    reference, extractor, first_seed = scoring.reference, scoring.extractor, scoring.seeds.start
    _check_counts(scoring)
    features, spectrum = _features_and_spectrum(generator, scoring, progress)
    metrics = score_features(features, reference)
    with steady_algebra(reference.features, features):
        found = memorisation(reference.features, features, originals=reference.originals, k=_NEIGHBOURS)
        metrics |= _manifolds(reference, features, found, extractor.suffix)
    metrics |= _smoothness(generator, scoring, lpips_path, path_samples)
    metrics |= _equivariance(generator, equivariance_samples, first_seed)
    metrics |= {name: rounded(value) for name, value in spectrum_scores(spectrum, reference.spectrum).items()}
    return Evaluation(
        _caveat_last(metrics | {"first_seed": first_seed}, reference),
        _spectrum_rows(reference.spectrum, spectrum),
        _neighbour_sheet(found, first_seed),
    )


def _check_counts(scoring: Scoring) -> None:
    pictures = scoring.reference.originals
    if len(scoring.seeds) < LEAST_SAMPLES or pictures < LEAST_PICTURES:
        raise ValueError(
            f"{len(scoring.seeds)} samples (evaluate.num_samples) and {pictures} pictures; allowed are {LEAST_SAMPLES} and "
            f"more samples and {LEAST_PICTURES} and more pictures: recall and coverage look that far for neighbours"
        )


def _samples(generator: Drawable, scoring: Scoring, progress: Progress | None) -> Iterator[np.ndarray]:
    """uint8[n, R, R, 3] batches of the seeds' pictures; counted when whoever takes them asks for the next."""
    done = 0
    for images in sample_images(generator, scoring.seeds, batch=scoring.batch):
        yield images
        done += len(images)
        if progress is not None:
            progress(done, len(scoring.seeds))


def _features_and_spectrum(
    generator: Drawable, scoring: Scoring, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """float32[N, D] and float64[R/2] of the pictures of the seeds, which are drawn once and not kept."""
    rows: list[np.ndarray] = []
    spectrum = SpectrumSum(generator.resolution)
    for images in _samples(generator, scoring, progress):
        rows.append(scoring.extractor.features(images))
        spectrum.add(images)
    return np.concatenate(rows), spectrum.rings()


def _manifolds(reference: Reference, features: np.ndarray, found: Memorisation, suffix: str) -> Flat:
    """Quality, diversity and novelty, each a number by itself.

    Mirror images are left out of the real rows: one near its picture makes that picture's ball small, and twice the
    rows lower the coverage that a perfect model has.
    """
    real = np.asarray(reference.features[: reference.originals])
    precision, recall = precision_recall(real, features)
    density, coverage = density_coverage(real, features)
    values = {
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "authenticity": found.authenticity,
        "neighbour_ratio": found.neighbour_ratio,
    }
    return {f"{name}{suffix}": rounded(value) for name, value in values.items() if value is not None}


def _smoothness(generator: Drawable, scoring: Scoring, lpips_path: str | None, pairs: int) -> Flat:
    name, embed, sha256 = embedding(scoring.extractor, lpips_path)
    lengths = path_lengths(generator, embed, pairs=pairs, first_seed=scoring.seeds.start, batch=scoring.batch)
    found: Flat = {name: rounded(mean_path_length(lengths)), "num_paths": pairs}
    return found | ({"lpips_sha256": sha256} if sha256 else {})


def _equivariance(generator: Generator, samples: int, first_seed: int) -> Flat:
    """EQ-T, EQ-T_frac and EQ-R, and EQ-T of the same weights without the alias-free parts to compare with.

    A perfect one, infinitely many dB, has no place in JSON and is left out; so is EQ-R of pictures below 32 pixels, where
    the ideal rotation's margins leave next to nothing to compare.
    """
    count = -(-samples // BATCH) * BATCH
    names = METRICS if generator.resolution >= _SMALLEST_ROTATED else tuple(n for n in METRICS if n != "eq_r")
    draws: dict[str, int] = {"num_samples": count, "first_seed": first_seed}
    found = equivariance(generator, metrics=names, **draws)
    plain = equivariance(PlainGenerator(generator), metrics=("eq_t",), **draws)
    found["eq_t_plain"] = plain["eq_t"]
    finite: Flat = {name: rounded(value) for name, value in found.items() if math.isfinite(value)}
    return finite | {"num_equivariance": count}


def _caveat_last(metrics: Flat, reference: Reference) -> Flat:
    """The metrics with everything that limits them said in one line, behind them."""
    said = [str(metrics["caveat"])] if "caveat" in metrics else []
    if not any(key.startswith("neighbour_ratio") for key in metrics):
        said.append("no neighbour ratio, as more than half of the pictures have an exact duplicate")
    least = min(int(metrics["num_fake"]), reference.originals)
    if least < _FEW_FOR_MANIFOLDS:
        said.append(f"{least} images are few for precision to coverage")
    return {key: value for key, value in metrics.items() if key != "caveat"} | (
        {"caveat": "; ".join(said)} if said else {}
    )


def _spectrum_rows(real: np.ndarray, fake: np.ndarray) -> list[dict[str, str]]:
    ratio = decibel_ratio(fake, real)
    return [
        {
            "periods": str(number),
            "real_db": f"{10 * math.log10(max(r, 1e-20)):.4f}",
            "samples_db": f"{10 * math.log10(max(f, 1e-20)):.4f}",
            "ratio_db": f"{d:.4f}",
        }
        for number, r, f, d in zip(range(1, len(real) + 1), real, fake, ratio, strict=True)
    ]


def _neighbour_sheet(found: Memorisation, first_seed: int) -> dict[str, list[dict[str, Any]]]:
    """The first samples, chosen by nobody, and those nearest to a training image of all."""

    def entries(samples: np.ndarray) -> list[dict[str, Any]]:
        return [
            {
                "seed": first_seed + int(i),
                "rows": [int(row) for row in found.rows[i]],
                "distances": [rounded(float(distance)) for distance in found.distances[i]],
            }
            for i in samples
        ]

    closest = np.argsort(found.distances[:, 0], kind="stable")[:_SHOWN]
    return {"first": entries(np.arange(min(_SHOWN, len(found.rows)))), "closest": entries(closest)}
