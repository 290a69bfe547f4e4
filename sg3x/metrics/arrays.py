"""Arguments of every metric: matrices of features, one row per image."""

from __future__ import annotations

import contextlib

import numpy as np
from threadpoolctl import threadpool_limits

_SMALL = 2**21  # numbers in a set: 8,000 pictures of 256 features


def checked_features(features: np.ndarray, *, minimum: int = 2, name: str = "features") -> np.ndarray:
    """`features` as float64[N, D].

    Raises:
        ValueError: if it is not a finite matrix of at least ``minimum`` rows; ``name`` says whose it is.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < minimum or features.shape[1] == 0:
        raise ValueError(f"{name} has shape {features.shape}; allowed is [N, D] with N >= {minimum} rows and D >= 1")
    if not np.isfinite(features).all():
        rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise ValueError(f"{name} holds NaN or infinity in {len(rows)} of {len(features)} rows, the first is {rows[0]}")
    return features


def checked_pair(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features as float64[N, D] and float64[M, D].

    Raises:
        ValueError: if either is not a finite matrix of at least two rows, or their D differ.
    """
    real = checked_features(real, name="real features")
    fake = checked_features(fake, name="generated features")
    if real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"real features have {real.shape[1]} columns and generated ones {fake.shape[1]}; "
            "allowed is the same number, that is the same extractor for both"
        )
    return real, fake


def steady_algebra(*features: np.ndarray) -> contextlib.AbstractContextManager[object]:
    """One thread for the linear algebra of small sets of features, inside the block.

    They gain nothing from more: on a busy machine the threads wait for each other (31 s of CPU instead of 0.6 for a score of
    2,000 by 256 features), and the last bits depend on how many there are. Large ones (50,000 samples, or Inception's 2,048
    features) would take minutes or hours on one.
    """
    return threadpool_limits(1) if max(map(np.size, features)) <= _SMALL else contextlib.nullcontext()
