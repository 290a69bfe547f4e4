"""The distance that is measured while a segment trains: `run.fid_every_kimg`.

Against the features of the `reference` stage, by the extractor that made them: the fixed random network, or Inception, which
here always runs in JAX on the training devices (`sg3x.metrics.features.inception_jax`). Where the reference was made by the
file's own code (torch), the features that JAX gives for the first real pictures are compared with those in the reference
before training starts: same file, same features to 1e-3, or no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from sg3x.drawing.pictures import to_uint8
from sg3x.metrics.arrays import steady_algebra
from sg3x.metrics.devices import split_over_devices
from sg3x.metrics.distances.frechet import FrechetTarget
from sg3x.metrics.features import inception_jax, inception_torch
from sg3x.metrics.features import random as random_features
from sg3x.metrics.features.extractor import Extractor, inception_file, jax_inception_extractor, random_extractor
from sg3x.metrics.score import Reference, load_reference

_PARAM = "run.fid_every_kimg"
_COMPARED = 4  # real pictures


class UnfitReferenceError(ValueError):
    """The reference features are missing, or not of this run; the message names the parameter and the stage to run."""


@dataclass(frozen=True)
class DuringTraining:
    """The `SampleMetric` of `sg3x.training.watch.sample_scores`.

    Attributes:
        reference: features of the real pictures.
        extractor: what computes those of the samples.
        every_kimg: how often.
        seeds: of the samples' latents.
    """

    reference: Reference
    extractor: Extractor
    every_kimg: float
    seeds: range

    @property
    def column(self) -> str:
        """ "fid" or "frechet_random"."""
        return self.extractor.metric

    @property
    def dimension(self) -> int:
        """Number of features."""
        return self.extractor.dimension

    def features(self, images: np.ndarray) -> np.ndarray:
        """float32[N, D] of float32[N, R, R, 3], about -1..1, rounded to what a file would hold."""
        return self.extractor.features(to_uint8(images))

    def distance(self, features: np.ndarray) -> float:
        """Fréchet distance of the samples' features to the real ones, without error bar."""
        with steady_algebra(self.reference.features, features):
            return self._target.distance(features)

    def facts(self) -> dict[str, str]:
        """Columns beside the number."""
        return {
            "num_fake": str(len(self.seeds)), "num_real": str(len(self.reference.features)),
            "first_seed": str(self.seeds.start), "extractor": self.extractor.name,
            "reference": str(self.reference.extractor["name"]),
        }  # fmt: skip

    @cached_property
    def _target(self) -> FrechetTarget:
        with steady_algebra(self.reference.features):
            return FrechetTarget.of(self.reference.features)


def open_during_training(
    folder: Path,
    images: np.ndarray,
    dataset_fingerprint: str,
    *,
    every_kimg: float,
    num_samples: int,
    first_seed: int,
    inception_path: str | None,
    inception_url: str | None,
    downloads: Path,
) -> DuringTraining:
    """Opens the metric for the samples of a segment.

    Args:
        folder: what the reference stage wrote.
        images: the training pictures uint8[N, R, R, 3], and their fingerprint.
        num_samples: how many samples, of seeds first_seed, first_seed + 1, ...
        inception_path, inception_url, downloads: as for `sg3x.metrics.features.extractor.open_extractor`.

    Raises:
        UnfitReferenceError: there is no reference, or it is of other pictures.
        ValueError: Inception's file cannot be had, is another one than the reference's, or its features in JAX are not
            the reference's.
    """
    try:
        reference = load_reference(folder)
    except ValueError as error:
        raise UnfitReferenceError(
            f"{_PARAM}={every_kimg:g} needs the features of the real pictures: {error} (dvc repro reference), "
            f"or set {_PARAM}: null"
        ) from error
    if reference.dataset_fingerprint != dataset_fingerprint:
        raise UnfitReferenceError(
            f"{_PARAM}={every_kimg:g}: {folder} is of the pictures {reference.dataset_fingerprint}, training is on "
            f"{dataset_fingerprint}: run the reference stage again (dvc repro reference), or set {_PARAM}: null"
        )
    extractor = _extractor(reference, images, inception_path, inception_url, downloads)
    return DuringTraining(reference, extractor, every_kimg, range(first_seed, first_seed + num_samples))


def _extractor(
    reference: Reference, images: np.ndarray, path: str | None, url: str | None, downloads: Path
) -> Extractor:
    if reference.extractor == random_extractor().record():
        split = split_over_devices(random_features.BATCH)
        found = random_extractor()
        return Extractor(
            found.name, found.sha256, found.resize, found.metric, found.dimension,
            partial(random_features.random_features, split=split),
        )  # fmt: skip
    name = reference.extractor.get("name")
    if name not in (inception_torch.NAME, inception_jax.NAME):
        raise UnfitReferenceError(
            f"{_PARAM}: the reference features are of {reference.extractor}, which this version cannot compute: "
            "run the reference stage again (dvc repro reference)"
        )
    sha256 = str(reference.extractor["sha256"])
    found = jax_inception_extractor(*inception_file(path, url, sha256, downloads))
    _check_features(found, images, reference)
    return found


def _check_features(extractor: Extractor, images: np.ndarray, reference: Reference) -> None:
    """Raises ValueError unless the first real pictures have the features that the reference says."""
    known = np.asarray(reference.features[:_COMPARED], np.float64)
    found = extractor.features(np.asarray(images[: len(known)]))
    difference = float("inf")
    if found.shape == known.shape:
        difference = float(np.abs(found - known).max() / max(np.abs(known).max(), 1e-12))
    if not difference <= inception_jax.TOLERANCE:
        raise ValueError(
            f"Inception in JAX differs from the reference's features ({reference.extractor['name']}) by {difference:.2g} "
            f"of the largest, allowed are {inception_jax.TOLERANCE:g}: the file orders its convolutions otherwise. "
            f"Set {_PARAM}: null; the segments' scores do not need it"
        )
