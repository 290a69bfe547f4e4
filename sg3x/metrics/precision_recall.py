"""Precision and recall of a generated set of features against a real one.

Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models", equations 1 and 2: the
manifold of a set is the union of balls around its points, each reaching to the point's k-th nearest neighbour.
"""

from __future__ import annotations

import numpy as np

from sg3x.metrics.features import checked_pair

_ROWS_AT_ONCE = 1024  # bounds the distance matrix to this many rows (80 MB at 10,000 columns)


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
    real, fake = checked_pair(real, fake)
    limit = min(len(real), len(fake)) - 1
    if not 1 <= k <= limit:
        raise ValueError(
            f"k is {k}; allowed are 1 to {limit}, one less than the smaller set ({len(real)}, {len(fake)})"
        )
    # Distances do not change with the origin, and products of centred rows lose fewer digits.
    origin = real.mean(axis=0)
    real, fake = real - origin, fake - origin
    return _fraction_inside(fake, real, k), _fraction_inside(real, fake, k)


def _fraction_inside(points: np.ndarray, manifold: np.ndarray, k: int) -> float:
    """Fraction of the rows of `points` that lie in a ball around some row of `manifold`."""
    radii = np.concatenate([_kth_neighbour(manifold, start, k) for start in range(0, len(manifold), _ROWS_AT_ONCE)])
    inside = [
        (_squared_distances(points[start : start + _ROWS_AT_ONCE], manifold) <= radii).any(axis=1)
        for start in range(0, len(points), _ROWS_AT_ONCE)
    ]
    return float(np.concatenate(inside).mean())


def _kth_neighbour(rows: np.ndarray, start: int, k: int) -> np.ndarray:
    """Squared distance to the k-th nearest other row, for the rows from `start` on: float64[<= _ROWS_AT_ONCE]."""
    chunk = rows[start : start + _ROWS_AT_ONCE]
    distances = _squared_distances(chunk, rows)
    distances[np.arange(len(chunk)), start + np.arange(len(chunk))] = np.inf  # itself
    return np.partition(distances, k - 1, axis=1)[:, k - 1]


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[n, m] squared Euclidean distances between the rows of `a` and of `b`."""
    return (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
