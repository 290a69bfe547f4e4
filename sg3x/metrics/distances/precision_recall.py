"""Precision, recall, density and coverage of a generated set of features against a real one.

Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models", equations 1 and 2: the
manifold of a set is the union of balls around its points, each reaching to the point's k-th nearest neighbour.
Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models", equations 3 and 4: density counts in
how many real balls a sample lies (an outlier among the real images does less harm), coverage how many of the real balls
hold a sample.
"""

from __future__ import annotations

import numpy as np

from sg3x.metrics.arrays import checked_pair
from sg3x.metrics.distances.neighbours import distance_blocks, squared_radii


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall, computed in float64.

    Args:
        real: float[N, D] features of real images.
        fake: float[M, D] features of generated images.
        k: which neighbour's distance is a ball's radius, the point itself not counted; 3 in the paper.

    Returns:
        ``(precision, recall)``: the fraction of generated rows within the real manifold (how good), and of real rows
        within the generated manifold (how diverse).

    Raises:
        ValueError: if the features do not belong together, or ``k`` is not in 1 .. min(N, M) - 1.
    """
    real, fake = _centred_pair(real, fake, k, min(len(real), len(fake)) - 1)
    return _fraction_inside(fake, real, k), _fraction_inside(real, fake, k)


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> tuple[float, float]:
    """Density and coverage, computed in float64.

    Args:
        real: float[N, D] features of real images.
        fake: float[M, D] features of generated images.
        k: which neighbour's distance is a real ball's radius; 5 in the paper.

    Returns:
        ``(density, coverage)``: the mean number of real balls that a generated row lies in, divided by ``k`` (about 1
        for a perfect model, and it may be more), and the fraction of real balls that hold a generated row.

    Raises:
        ValueError: if the features do not belong together, or ``k`` is not in 1 .. N - 1.
    """
    real, fake = _centred_pair(real, fake, k, len(real) - 1)
    radii = squared_radii(real, k)
    memberships, covered = 0, np.zeros(len(real), bool)
    for _, distances in distance_blocks(fake, real):
        inside = distances <= radii
        memberships += int(inside.sum())
        covered |= inside.any(axis=0)
    return memberships / (k * len(fake)), float(covered.mean())


def _centred_pair(real: np.ndarray, fake: np.ndarray, k: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    real, fake = checked_pair(real, fake)
    if not 1 <= k <= limit:
        raise ValueError(
            f"k is {k}; allowed are 1 to {limit}, one less than the smaller set ({len(real)}, {len(fake)})"
        )
    # Distances do not change with the origin, and products of centred rows lose fewer digits.
    origin = real.mean(axis=0)
    return real - origin, fake - origin


def _fraction_inside(points: np.ndarray, manifold: np.ndarray, k: int) -> float:
    """Fraction of the rows of `points` that lie in a ball around some row of `manifold`."""
    radii = squared_radii(manifold, k)
    inside = [(distances <= radii).any(axis=1) for _, distances in distance_blocks(points, manifold)]
    return float(np.concatenate(inside).mean())
