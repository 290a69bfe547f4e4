"""How far a score can be trusted: standard errors, and the Fréchet distance of infinitely many samples.

Both error bars are delete-a-group jackknives (Efron and Tibshirani 1993, chapter 11) over the **generated** images, the
data set held fixed: by how much the number would move with other seeds of the same generator. Groups are every 20th
sample, so the result depends on nothing but the features and their order.

FID of N samples is biased upwards by nearly a constant over N, which differs from model to model; Chong and Forsyth 2020,
"Effectively unbiased FID and inception score", section 3, fit the line and read off its value at 1/N = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sg3x.metrics.features import checked_pair
from sg3x.metrics.frechet import FrechetTarget

GROUPS = 20
KERNEL_ROWS = 10_000  # rows of each set that the kernel distance uses at most: its matrix grows with the square
_POINTS = 8  # sample counts that the line of FID over 1/N is fitted to
_SMALLEST = 0.25  # of N: the smallest of them


@dataclass(frozen=True)
class FrechetEstimate:
    """A Fréchet distance with what is known of its error.

    Attributes:
        distance: of all samples.
        stderr: its standard error over samples; None where there are fewer than 40.
        infinity: extrapolated to infinitely many samples; None where a quarter of the samples does not exceed the
            number of features, as the line bends there. An estimate: it may even be negative.
    """

    distance: float
    stderr: float | None
    infinity: float | None


def frechet_estimate(real: np.ndarray, fake: np.ndarray, *, seed: int = 0) -> FrechetEstimate:
    """Fréchet distance of fake float[M, D] to real float[N, D], with error bar and extrapolation.

    Args:
        seed: of the subsets that the extrapolation is fitted to.

    Raises:
        ValueError: if the features do not belong together.
    """
    real, fake = checked_pair(real, fake)
    target = FrechetTarget.of(real)
    stderr = None
    if len(fake) >= 2 * GROUPS:
        stderr = _jackknife([target.distance(np.delete(fake, rows, axis=0)) for rows in _groups(len(fake))])
    return FrechetEstimate(target.distance(fake), stderr, _extrapolated(target, fake, seed))


def _extrapolated(target: FrechetTarget, fake: np.ndarray, seed: int) -> float | None:
    smallest = int(_SMALLEST * len(fake))
    if smallest <= fake.shape[1]:
        return None
    # Evenly spaced in 1/N, the line's abscissa; subsets without repetition, as the paper's.
    inverse = np.linspace(1 / len(fake), 1 / smallest, _POINTS)
    rng = np.random.RandomState(seed)
    counts = np.rint(1 / inverse).astype(int)
    found = [target.distance(fake[rng.permutation(len(fake))[:count]]) for count in counts]
    return float(np.polynomial.Polynomial.fit(1 / counts, found, 1).convert().coef[0])


def kernel_estimate(real: np.ndarray, fake: np.ndarray, *, seed: int = 0) -> tuple[float, float | None]:
    """Kernel distance (KID on Inception features) with its standard error over samples.

    The unbiased squared MMD of all rows at once (at most 10,000 of each set, drawn by `seed`), under the kernel of
    `sg3x.metrics.kernel`. Its expectation is that of the customary mean over 100 subsets of 1,000, its variance less.

    Returns:
        ``(distance, stderr)``; the error is None where there are fewer than 40 samples.

    Raises:
        ValueError: if the features do not belong together.
    """
    real, fake = checked_pair(real, fake)
    rng = np.random.RandomState(seed)
    real, fake = (
        x if len(x) <= KERNEL_ROWS else x[np.sort(rng.permutation(len(x))[:KERNEL_ROWS])] for x in (real, fake)
    )
    groups = _groups(len(fake))
    within_real = _off_diagonal_mean(real)
    # Sums of the kernel between the samples' groups, and of each group with the real rows: all the jackknife needs.
    between, trace = _group_sums(fake, groups)
    crossed = np.array([_kernel_sum(fake[rows], real) for rows in groups])

    def estimate(kept: np.ndarray) -> float:
        count = sum(len(groups[g]) for g in kept)
        within = between[np.ix_(kept, kept)].sum() - trace[kept].sum()
        return within_real + within / (count * (count - 1)) - 2.0 * crossed[kept].sum() / (count * len(real))

    everything = np.arange(len(groups))
    if len(fake) < 2 * GROUPS:
        return float(estimate(everything)), None
    return float(estimate(everything)), _jackknife([estimate(np.delete(everything, g)) for g in everything])


def _groups(count: int) -> list[np.ndarray]:
    """Every 20th index, from each of the first 20; with fewer indices, one group each."""
    return [np.arange(first, count, GROUPS) for first in range(min(GROUPS, count))]


def _jackknife(left_out: list[float]) -> float:
    """Standard error from the estimates with one group left out each."""
    values = np.array(left_out)
    return float(np.sqrt((len(values) - 1) * ((values - values.mean()) ** 2).mean()))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1.0) ** 3


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(_kernel(a[start : start + 1024], b).sum() for start in range(0, len(a), 1024)))


def _diagonal(a: np.ndarray) -> np.ndarray:
    return ((a**2).sum(axis=1) / a.shape[1] + 1.0) ** 3


def _off_diagonal_mean(a: np.ndarray) -> float:
    return (_kernel_sum(a, a) - float(_diagonal(a).sum())) / (len(a) * (len(a) - 1))


def _group_sums(a: np.ndarray, groups: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Kernel sums between groups float64[G, G], and of each group's diagonal float64[G]."""
    sums = np.array([[_kernel_sum(a[one], a[other]) for other in groups] for one in groups])
    return sums, np.array([_diagonal(a[rows]).sum() for rows in groups])
