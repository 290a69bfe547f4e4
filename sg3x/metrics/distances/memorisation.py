"""Does the generator repeat its training images? Distances to the nearest of them, in feature space.

Two statistics, both relative to how near the training images lie to each other:

* the **neighbour ratio**: median distance of a sample to its nearest training image, over the median distance of a
  training image to its nearest other one. About 1 for new pictures of the same kind, 0 for copies.
* the **authenticity** of Alaa et al. 2022, "How faithful is your synthetic data?", section 3: the fraction of samples
  that are farther from their nearest training image than that image is from its own nearest other one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sg3x.metrics.arrays import checked_pair
from sg3x.metrics.distances.neighbours import distance_blocks, nearest


@dataclass(frozen=True)
class Memorisation:
    """Nearest training images of every sample.

    Attributes:
        neighbour_ratio: see the module; None where more than half of the training images have an exact duplicate.
        authenticity: see the module; 0.5 to 0.6 for new draws of the training images' own distribution.
        rows: int64[M, k] training rows, nearest first.
        distances: float64[M, k] to them.
    """

    neighbour_ratio: float | None
    authenticity: float
    rows: np.ndarray
    distances: np.ndarray


def memorisation(real: np.ndarray, fake: np.ndarray, *, originals: int | None = None, k: int = 3) -> Memorisation:
    """Nearest training images of the samples.

    Args:
        real: float[N, D] features of the training images.
        fake: float[M, D] features of samples.
        originals: how many of the rows are pictures; the rest, if any, are their mirror images in the same order,
            and a picture's own mirror image does not count as its neighbour. None: all are pictures.
        k: how many neighbours of each sample to return.

    Raises:
        ValueError: if the features do not belong together, there are fewer than two originals or fewer than k rows, or
            N is neither `originals` nor twice that.
    """
    real, fake = checked_pair(real, fake)
    count = len(real) if originals is None else originals
    if len(real) not in (count, 2 * count) or count < 2 or not 1 <= k <= len(real):
        raise ValueError(
            f"{len(real)} rows of {count} pictures, k = {k}; allowed are N or 2 N rows of N >= 2, k <= rows"
        )
    origin = real.mean(axis=0)
    real, fake = real - origin, fake - origin
    own = _distance_to_others(real, count)
    rows, distances = nearest(fake, real, k)
    authentic = distances[:, 0] > own[rows[:, 0] % count]
    typical = float(np.median(own))
    ratio = float(np.median(distances[:, 0])) / typical if typical > 0 else None
    return Memorisation(ratio, float(authentic.mean()), rows, distances)


def _distance_to_others(real: np.ndarray, originals: int) -> np.ndarray:
    """float64[originals]: distance of every picture to the nearest row that is neither itself nor its mirror image.

    A mirror image has the same neighbours, mirrored, up to what the features make of mirroring: it takes the picture's.
    """
    found = []
    for start, distances in distance_blocks(real[:originals], real):
        own = np.arange(len(distances))
        for same in range(start, len(real), originals):
            distances[own, same + own] = np.inf
        found.append(distances.min(axis=1))
    return np.sqrt(np.concatenate(found))
