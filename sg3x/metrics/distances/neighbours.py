"""Nearest neighbours among rows of features, in blocks: what precision, coverage and memorisation are counted from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_ROWS_AT_ONCE = 1024  # bounds the distance matrix to this many rows (80 MB at 10,000 columns)


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[n, m] squared Euclidean distances between the rows of `a` and of `b`; rounding never makes one negative."""
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * (a @ b.T), 0.0)


def distance_blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, squared distances float64[<= 1024, m]) for the rows of `a`, block by block."""
    for start in range(0, len(a), _ROWS_AT_ONCE):
        yield start, squared_distances(a[start : start + _ROWS_AT_ONCE], b)


def squared_radii(rows: np.ndarray, k: int) -> np.ndarray:
    """float64[N]: squared distance of every row to its k-th nearest other row."""
    radii = []
    for start, distances in distance_blocks(rows, rows):
        own = np.arange(len(distances))
        distances[own, start + own] = np.inf  # itself
        radii.append(np.partition(distances, k - 1, axis=1)[:, k - 1])
    return np.concatenate(radii)


def nearest(points: np.ndarray, rows: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k rows nearest to each point, nearest first: indices int64[N, k] and distances float64[N, k].

    Of equally near rows the first comes first.
    """
    chosen, found = [], []
    for _, distances in distance_blocks(points, rows):
        own = np.arange(len(distances))
        index, value = np.empty((len(own), k), int), np.empty((len(own), k))
        for place in range(k):
            index[:, place] = distances.argmin(axis=1)
            value[:, place] = distances[own, index[:, place]]
            distances[own, index[:, place]] = np.inf
        chosen.append(index)
        found.append(np.sqrt(value))
    return np.concatenate(chosen), np.concatenate(found)
