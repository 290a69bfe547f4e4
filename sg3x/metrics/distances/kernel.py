"""Kernel distance (KID): squared maximum mean discrepancy under a cubic kernel.

Bińkowski et al. 2018, "Demystifying MMD GANs", section 4: k(x, y) = (x·y / D + 1)³, the unbiased estimate averaged over
random subsets. Unlike the Fréchet distance its expectation does not depend on the number of images.
"""

from __future__ import annotations

import numpy as np

from sg3x.metrics.arrays import checked_pair


def kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
    real_rows: np.ndarray | None = None,
    fake_rows: np.ndarray | None = None,
) -> float:
    """Mean of `kernel_distances`, whose arguments these are: the KID when the features are Inception's."""
    distances = kernel_distances(
        real, fake, subsets=subsets, subset_size=subset_size, seed=seed, real_rows=real_rows, fake_rows=fake_rows
    )
    return float(distances.mean())


def kernel_distances(
    real: np.ndarray,
    fake: np.ndarray,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
    real_rows: np.ndarray | None = None,
    fake_rows: np.ndarray | None = None,
) -> np.ndarray:
    """The unbiased squared MMD of each subset; their spread gives the standard error.

    Args:
        real: float[N, D] features of real images.
        fake: float[M, D] features of generated images.
        subsets: number of random subsets (100 in clean-fid and in NVIDIA's code).
        subset_size: rows per subset, at most; the smaller of N and M if that is less.
        seed: seeds the choice of rows, drawn without repetition within a subset.
        real_rows, fake_rows: int[subsets, m] rows to use instead of drawing them; both or neither.

    Returns:
        float64[subsets]; single values may be negative, as an unbiased estimate of a small number is.

    Raises:
        ValueError: if the features do not belong together, or a subset has fewer than two rows.
    """
    real, fake = checked_pair(real, fake)
    if (real_rows is None) != (fake_rows is None):
        raise ValueError("real_rows and fake_rows are to be given both or neither")
    if real_rows is None or fake_rows is None:
        size = min(len(real), len(fake), subset_size)
        if size < 2 or subsets < 1:
            raise ValueError(f"subset size is {size} and subsets is {subsets}; allowed are sizes >= 2 and subsets >= 1")
        rng = np.random.RandomState(seed)
        draws = [(rng.permutation(len(real))[:size], rng.permutation(len(fake))[:size]) for _ in range(subsets)]
    else:
        draws = list(zip(real_rows, fake_rows, strict=True))
    return np.array([_squared_mmd(real[chosen_real], fake[chosen_fake]) for chosen_real, chosen_fake in draws])


def cubic_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[n, m] of rows float64[n, D] and [m, D]."""
    return (a @ b.T / a.shape[1] + 1.0) ** 3


def kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    """Over all pairs of rows, a block of them at a time."""
    return float(sum(cubic_kernel(a[start : start + 1024], b).sum() for start in range(0, len(a), 1024)))


def kernel_trace(a: np.ndarray) -> float:
    """Sum over each row with itself."""
    return float(((((a**2).sum(axis=1)) / a.shape[1] + 1.0) ** 3).sum())


def unbiased_mmd(within_x: float, m: int, within_y: float, n: int, between: float) -> float:
    """Equation 4 of the paper from sums of the kernel: over different rows of m, of n, and over pairs of one of each."""
    return within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2.0 * between / (m * n)


def _squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared MMD of float64[m, D] and float64[n, D]."""
    within_x, within_y = (kernel_sum(rows, rows) - kernel_trace(rows) for rows in (x, y))
    return unbiased_mmd(within_x, len(x), within_y, len(y), kernel_sum(x, y))
