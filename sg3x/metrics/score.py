"""The score of a generator against a data set, with all that has to be known to read it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sg3x.files.atomic import atomic_folder
from sg3x.metrics.extractor import Extractor, Progress
from sg3x.metrics.frechet import feature_statistics, frechet_distance

_DIGITS = 7  # significant; the last bits of a float64 depend on the linear algebra library and its threads
_FEATURES = "features.npy"
_ABOUT = "reference.json"


@dataclass(frozen=True)
class Reference:
    """Features of a data set's real images.

    Attributes:
        features: float32[N, D].
        extractor: record of what computed them, for `extractor_from_record`.
        dataset_fingerprint: of the images they are features of.
    """

    features: np.ndarray
    extractor: dict[str, str | int | None]
    dataset_fingerprint: str


def compute_reference(
    images: np.ndarray, extractor: Extractor, dataset_fingerprint: str, *, progress: Progress | None = None
) -> Reference:
    """Features of the real images uint8[N, R, R, 3]; ``progress`` is called with (images done, N)."""
    features = extractor.features(images, progress=progress)
    return Reference(features, extractor.record(), dataset_fingerprint)


def save_reference(folder: Path, reference: Reference) -> None:
    """Writes the folder of `features.npy` and `reference.json`, the same bytes for the same content.

    Not an ``.npz``, which is a zip and holds the features' time stamps.
    """
    about = {
        "dataset_fingerprint": reference.dataset_fingerprint,
        "extractor": reference.extractor,
        "num_real": len(reference.features),
    }
    with atomic_folder(Path(folder)) as partial:
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
        reference = Reference(features, about["extractor"], about["dataset_fingerprint"])
        expected = (about["num_real"], about["extractor"]["dimension"])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no reference features ({error}); run the reference stage again") from error
    if features.shape != expected:
        raise ValueError(f"{folder} holds features {features.shape}, its {_ABOUT} says {expected}; run the stage again")
    return reference


def score(
    fake: np.ndarray | Iterable[np.ndarray],
    reference: Reference,
    extractor: Extractor,
    *,
    progress: Progress | None = None,
) -> dict[str, float | int | str]:
    """Fréchet distance of generated images to the reference, as a flat dict for `dvc metrics`.

    Args:
        fake: uint8[N, R, R, 3], or batches of it in order. The score does not depend on how they are cut.
        reference: features of the real images.
        extractor: the one the reference was computed with.
        progress: called with (images done, N); N is 0 where batches come from a generator.

    Returns:
        ``fid`` or ``frechet_random`` (to 7 significant digits), ``num_fake``, ``num_real``, ``extractor``, ``resize``,
        ``dataset_fingerprint``; ``extractor_sha256`` where it is a file; ``caveat`` where the number says little.

    Raises:
        ValueError: if the extractor is another one than the reference's, or there are fewer than two images.
    """
    if extractor.record() != reference.extractor:
        raise ValueError(f"the reference is of {reference.extractor}, the extractor is {extractor.record()}: no score")
    if isinstance(fake, np.ndarray):
        features = extractor.features(fake, progress=progress)
    else:
        features = np.concatenate(
            list(_batch_features(fake, extractor, progress)) or [np.empty((0, extractor.dimension))]
        )
    return score_features(features, reference)


def score_features(fake: np.ndarray, reference: Reference) -> dict[str, float | int | str]:
    """`score` on features float[N, D] that are already there."""
    if len(fake) < 2:
        raise ValueError(f"{len(fake)} generated images (evaluate.num_samples); allowed are 2 and more")
    distance = frechet_distance(*feature_statistics(reference.features), *feature_statistics(fake))
    about = reference.extractor
    result: dict[str, float | int | str] = {
        str(about["metric"]): float(f"{distance:.{_DIGITS}g}"),
        "num_fake": len(fake),
        "num_real": len(reference.features),
        "extractor": str(about["name"]),
        "resize": str(about["resize"]),
        "dataset_fingerprint": reference.dataset_fingerprint,
    }
    if about["sha256"]:
        result["extractor_sha256"] = str(about["sha256"])
    caveat = _caveat(len(fake), len(reference.features), fake.shape[1])
    return result | ({"caveat": caveat} if caveat else {})


def _batch_features(
    batches: Iterable[np.ndarray], extractor: Extractor, progress: Progress | None
) -> Iterator[np.ndarray]:
    done = 0
    for batch in batches:
        yield extractor.features(batch)
        done += len(batch)
        if progress is not None:
            progress(done, 0)


def _caveat(num_fake: int, num_real: int, dimension: int) -> str:
    """Says when a covariance has no full rank, where the distance is biased upwards and depends on the counts."""
    few = [f"{n} {what}" for n, what in ((num_fake, "generated"), (num_real, "real")) if n <= dimension]
    if not few:
        return ""
    return (
        f"{' and '.join(few)} images for {dimension} features: the covariance is singular and the distance biased "
        "upwards; compare only with scores of the same counts"
    )
