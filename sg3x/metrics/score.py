"""The score of a generator against a data set, with all that has to be known to read it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sg3x.files.atomic import Made, atomic_folder
from sg3x.metrics.arrays import steady_algebra
from sg3x.metrics.distances.spectrum import spectrum_of
from sg3x.metrics.distances.uncertainty import frechet_estimate, kernel_estimate
from sg3x.metrics.features.extractor import Extractor, Progress

_DIGITS = 7  # significant; the last bits of a float64 depend on the linear algebra library and its threads
_PUBLISHED = 50_000  # samples that published FIDs are made of
_FEATURES = "features.npy"
_ABOUT = "reference.json"
_MADE = Made("what the reference stage wrote", (_FEATURES, _ABOUT), mark=_ABOUT)


@dataclass(frozen=True)
class Reference:
    """Features of a data set's real images.

    Attributes:
        features: float32[N, D].
        extractor: record of what computed them, for `extractor_from_record`.
        dataset_fingerprint: of the images they are features of.
        originals: how many of the rows are pictures; the rest, if any, are their mirror images.
        spectrum: power spectrum float64[R/2] of the images, see `sg3x.metrics.distances.spectrum`.
    """

    features: np.ndarray
    extractor: dict[str, str | int | None]
    dataset_fingerprint: str
    originals: int
    spectrum: np.ndarray


def compute_reference(
    images: np.ndarray,
    extractor: Extractor,
    dataset_fingerprint: str,
    *,
    originals: int | None = None,
    progress: Progress | None = None,
) -> Reference:
    """Features and spectrum of the real images uint8[N, R, R, 3]; ``progress`` is called with (images done, N).

    Args:
        originals: how many of them are pictures, the rest being their mirror images; None: all.
    """
    features = extractor.features(images, progress=progress)
    count = len(features) if originals is None else originals
    return Reference(features, extractor.record(), dataset_fingerprint, count, spectrum_of(images))


def save_reference(folder: Path, reference: Reference) -> None:
    """Writes the folder of `features.npy` and `reference.json`, the same bytes for the same content.

    Not an ``.npz``, which is a zip and holds the features' time stamps.
    """
    about = {
        "dataset_fingerprint": reference.dataset_fingerprint,
        "extractor": reference.extractor,
        "num_real": len(reference.features),
        "originals": reference.originals,
        "spectrum": [rounded(power) for power in reference.spectrum],
    }
    with atomic_folder(Path(folder), _MADE) as partial:
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(reference.features, np.float32), allow_pickle=False)
        (partial / _FEATURES).write_bytes(content.getvalue())
        (partial / _ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_reference(folder: Path) -> Reference:
    """Reads what `save_reference` wrote; the features are a read-only memory map.

    Raises:
        ValueError: if the folder is not one of `save_reference`, or its parts do not belong together.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        features = np.load(folder / _FEATURES, mmap_mode="r", allow_pickle=False)
        spectrum = np.array(about["spectrum"], np.float64)
        reference = Reference(features, about["extractor"], about["dataset_fingerprint"], about["originals"], spectrum)
        expected = (about["num_real"], about["extractor"]["dimension"])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no reference features ({error}); run the reference stage again") from error
    if features.shape != expected:
        raise ValueError(f"{folder} holds features {features.shape}, its {_ABOUT} says {expected}; run the stage again")
    return reference


def rounded(value: float) -> float:
    """To 7 significant digits: what a score is written down with."""
    return float(f"{value:.{_DIGITS}g}")


def check_extractor(reference: Reference, extractor: Extractor) -> None:
    """Raises ValueError if features of the one would be compared with features of another."""
    if extractor.record() != reference.extractor:
        raise ValueError(f"the reference is of {reference.extractor}, the extractor is {extractor.record()}: no score")


def score_features(fake: np.ndarray, reference: Reference) -> dict[str, float | int | str]:
    """Fréchet and kernel distance of generated images to the reference, as a flat dict for `dvc metrics`.

    Args:
        fake: float[N, D] features of the generated images, by the reference's extractor.

    Returns:
        ``fid`` and ``kid``, or ``frechet_random`` and ``kernel_random`` (7 significant digits), each with ``_stderr``
        and the first with ``_infinity`` where there are samples enough; ``num_fake``, ``num_real``, ``extractor``,
        ``resize``, ``dataset_fingerprint``; ``extractor_sha256`` where it is a file; ``caveat`` where the numbers say
        little.

    Raises:
        ValueError: if there are fewer than two images.
    """
    if len(fake) < 2:
        raise ValueError(f"{len(fake)} generated images (evaluate.num_samples); allowed are 2 and more")
    result = {key: rounded(value) for key, value in _distances(fake, reference).items() if value is not None}
    caveat = _caveat(len(fake), len(reference.features), fake.shape[1], str(reference.extractor["metric"]))
    return {**result, **circumstances(len(fake), reference), **({"caveat": caveat} if caveat else {})}


def _distances(fake: np.ndarray, reference: Reference) -> dict[str, float | None]:
    with steady_algebra(reference.features, fake):
        frechet = frechet_estimate(reference.features, fake)
        kernel, kernel_stderr = kernel_estimate(reference.features, fake)
    name = str(reference.extractor["metric"])
    kernel_name = "kid" if name == "fid" else "kernel_random"
    return {
        name: frechet.distance,
        f"{name}_stderr": frechet.stderr,
        f"{name}_infinity": frechet.infinity,
        kernel_name: kernel,
        f"{kernel_name}_stderr": kernel_stderr,
    }


def circumstances(num_fake: int, reference: Reference) -> dict[str, float | int | str]:
    """Facts that belong beside every number."""
    about = reference.extractor
    found: dict[str, float | int | str] = {
        "num_fake": num_fake,
        "num_real": len(reference.features),
        "num_pictures": reference.originals,
        "extractor": str(about["name"]),
        "resize": str(about["resize"]),
        "dataset_fingerprint": reference.dataset_fingerprint,
    }
    return found | ({"extractor_sha256": str(about["sha256"])} if about["sha256"] else {})


def _caveat(num_fake: int, num_real: int, dimension: int, metric: str) -> str:
    """Says when a covariance has no full rank, where the distance is biased upwards, and when a FID is of few samples."""
    few = [f"{n} {what}" for n, what in ((num_fake, "generated"), (num_real, "real")) if n <= dimension]
    if few:
        return f"{' and '.join(few)} images for {dimension} features: biased upwards, compare equal counts only"
    if metric == "fid" and num_fake < _PUBLISHED:
        return f"{num_fake} samples: biased upwards against published FIDs of {_PUBLISHED}"
    return ""
