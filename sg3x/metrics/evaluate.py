"""Scores a generator against the reference features of the real images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.metrics.equivariance import METRICS, equivariance
from sg3x.metrics.extractor import Extractor, Progress, extractor_from_record
from sg3x.metrics.features import steady_algebra
from sg3x.metrics.memorisation import Memorisation, memorisation
from sg3x.metrics.path_length import embedding, mean_path_length, path_lengths
from sg3x.metrics.precision_recall import density_coverage, precision_recall
from sg3x.metrics.score import Reference, check_extractor, load_reference, rounded, score, score_features
from sg3x.metrics.spectrum import SpectrumSum, decibel_ratio, spectrum_scores
from sg3x.render.plain import PlainGenerator
from sg3x.render.sampling import sample_images

Flat = dict[str, float | int | str]
_FEW_FOR_MANIFOLDS = 1000  # below this, precision, recall, density and coverage move with the count
_SMALLEST_ROTATED = 32  # pixels
_SHOWN = 6  # samples on each half of the sheet of nearest neighbours
_NEIGHBOURS = 3  # training images beside each


@dataclass(frozen=True)
class Inception:
    """Where the files of Inception and LPIPS are, if the reference was made with the first or PPL is wanted."""

    path: str | None
    url: str | None
    downloads: Path
    lpips_path: str | None = None


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


def score_generator(
    generator: Any,
    reference_folder: Path,
    inception: Inception,
    *,
    num_samples: int,
    first_seed: int,
    batch: int,
    progress: Progress | None = None,
) -> Flat:
    """Flat JSON for `dvc metrics`: the score of a segment. Truncation is never applied.

    Args:
        num_samples: pictures of seeds first_seed, first_seed + 1, ...
        batch: pictures per call of the generator.
    """
    reference, extractor = _opened(reference_folder, inception)
    batches = sample_images(generator, range(first_seed, first_seed + num_samples), batch=batch)
    counted = None if progress is None else lambda done, _: progress(done, num_samples)
    return {**score(batches, reference, extractor, progress=counted), "first_seed": first_seed}


def evaluate_generator(
    generator: Any,
    reference_folder: Path,
    inception: Inception,
    *,
    num_samples: int,
    first_seed: int,
    batch: int,
    equivariance_samples: int,
    path_samples: int,
    progress: Progress | None = None,
) -> Evaluation:
    """All that docs/metrics.md defines. Truncation is never applied; everything is deterministic by `first_seed`.

    Args:
        num_samples: pictures of seeds first_seed, first_seed + 1, ...
        batch: pictures per call of the generator.
        equivariance_samples: pictures that are moved; rounded up to whole batches.
        path_samples: pairs of latents.
    """
    reference, extractor = _opened(reference_folder, inception)
    features, spectrum = _features_and_spectrum(
        generator, extractor, range(first_seed, first_seed + num_samples), batch, progress
    )
    suffix = extractor.suffix
    metrics = score_features(features, reference)
    with steady_algebra(extractor.dimension):
        found = memorisation(reference.features, features, originals=reference.originals, k=_NEIGHBOURS)
        metrics |= _manifolds(reference, features, found, suffix)
    metrics |= _smoothness(generator, extractor, inception.lpips_path, path_samples, first_seed, batch)
    metrics |= _equivariance(generator, equivariance_samples, first_seed, batch)
    metrics |= {name: rounded(value) for name, value in spectrum_scores(spectrum, reference.spectrum).items()}
    return Evaluation(
        _caveat_last(metrics | {"first_seed": first_seed}, reference),
        _spectrum_rows(reference.spectrum, spectrum),
        _neighbour_sheet(found, first_seed),
    )


def _opened(folder: Path, inception: Inception) -> tuple[Reference, Extractor]:
    reference = load_reference(folder)
    extractor = extractor_from_record(
        reference.extractor,
        inception_path=inception.path,
        inception_url=inception.url,
        downloads=inception.downloads,
    )
    check_extractor(reference, extractor)
    return reference, extractor


def _features_and_spectrum(
    generator: Any, extractor: Extractor, seeds: range, batch: int, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """float32[N, D] and float64[R/2] of the pictures of the seeds, which are drawn once and not kept."""
    rows: list[np.ndarray] = []
    spectrum = SpectrumSum(generator.resolution)
    for images in sample_images(generator, seeds, batch=batch):
        rows.append(extractor.features(images))
        spectrum.add(images)
        if progress is not None:
            progress(sum(map(len, rows)), len(seeds))
    return np.concatenate(rows), spectrum.rings()


def _manifolds(reference: Reference, features: np.ndarray, found: Memorisation, suffix: str) -> Flat:
    """Quality, diversity and novelty, each a number by itself."""
    real = np.asarray(reference.features)
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
    return {f"{name}{suffix}": rounded(value) for name, value in values.items()}


def _smoothness(
    generator: Any, extractor: Extractor, lpips_path: str | None, pairs: int, first_seed: int, batch: int
) -> Flat:
    name, embed, sha256 = embedding(extractor, lpips_path)
    lengths = path_lengths(generator, embed, pairs=pairs, first_seed=first_seed, batch=batch)
    found: Flat = {name: rounded(mean_path_length(lengths)), "num_paths": pairs}
    return found | ({"lpips_sha256": sha256} if sha256 else {})


def _equivariance(generator: Any, samples: int, first_seed: int, batch: int) -> Flat:
    """EQ-T, EQ-T_frac and EQ-R, and EQ-T of the same weights without the alias-free parts to compare with.

    A perfect one, infinitely many dB, has no place in JSON and is left out; so is EQ-R of pictures below 32 pixels, where
    the ideal rotation's margins leave next to nothing to compare.
    """
    count = -(-samples // batch) * batch
    names = METRICS if generator.resolution >= _SMALLEST_ROTATED else tuple(n for n in METRICS if n != "eq_r")
    draws: dict[str, int] = {"num_samples": count, "batch": batch, "first_seed": first_seed}
    found = equivariance(generator, metrics=names, **draws)
    plain = equivariance(PlainGenerator(generator), metrics=("eq_t",), **draws)
    found["eq_t_plain"] = plain["eq_t"]
    finite: Flat = {name: rounded(value) for name, value in found.items() if math.isfinite(value)}
    return finite | {"num_equivariance": count}


def _caveat_last(metrics: Flat, reference: Reference) -> Flat:
    """The metrics with everything that limits them said in one line, behind them."""
    said = [str(metrics["caveat"])] if "caveat" in metrics else []
    least = min(int(metrics["num_fake"]), len(reference.features))
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
