"""Uncertainty of a score: standard errors, and the Fréchet distance of infinitely many samples.

Both error bars are delete-a-group jackknives (Efron and Tibshirani 1993, chapter 11) over the **generated** images, the
data set held fixed: by how much the number would move with other seeds of the same generator. Groups are every 20th
sample, so the result depends on nothing but the features and their order.

FID of N samples is biased upwards by nearly a constant over N, which differs from model to model; Chong and Forsyth 2020,
"Effectively unbiased FID and inception score", section 3, fit the line and read off its value at 1/N = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sg3x.metrics.arrays import checked_pair
from sg3x.metrics.distances.frechet import FrechetTarget
from sg3x.metrics.distances.kernel import kernel_sum, kernel_trace, unbiased_mmd

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
    distance = target.distance(fake)
    return FrechetEstimate(distance, stderr, _extrapolated(target, fake, distance, seed))


def _extrapolated(target: FrechetTarget, fake: np.ndarray, whole: float, seed: int) -> float | None:
    """The line's value at 1/N = 0; `whole` is the distance of all samples, its first point."""
    smallest = int(_SMALLEST * len(fake))
    if smallest <= fake.shape[1]:
        return None
    # Evenly spaced in 1/N, the line's abscissa; subsets without repetition, as the paper's.
    inverse = np.linspace(1 / len(fake), 1 / smallest, _POINTS)
    rng = np.random.RandomState(seed)
    counts = np.rint(1 / inverse).astype(int)
    subsets = [rng.permutation(len(fake))[:count] for count in counts]
    found = [whole, *(target.distance(fake[rows]) for rows in subsets[1:])]
    return float(np.polynomial.Polynomial.fit(1 / counts, found, 1).convert().coef[0])


def kernel_estimate(real: np.ndarray, fake: np.ndarray, *, seed: int = 0) -> tuple[float, float | None]:
    """Kernel distance (KID on Inception features) with its standard error over samples.

    The unbiased squared MMD of all rows at once (at most 10,000 of each set, drawn by `seed`), under the kernel of
    `sg3x.metrics.distances.kernel`. Its expectation is that of the customary mean over 100 subsets of 1,000, its variance less.

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
    groups = [fake[rows] for rows in _groups(len(fake))]
    # Sums of the kernel between the samples' groups, and of each group with the real rows: all the jackknife needs.
    within_real, within_fake = kernel_sum(real, real) - kernel_trace(real), _group_sums(groups)
    between = np.array([kernel_sum(rows, real) for rows in groups])

    def estimate(kept: np.ndarray) -> float:
        count = sum(len(groups[g]) for g in kept)
        within = float(within_fake[np.ix_(kept, kept)].sum())
        return unbiased_mmd(within_real, len(real), within, count, float(between[kept].sum()))

    everything = np.arange(len(groups))
    if len(fake) < 2 * GROUPS:
        return estimate(everything), None
    return estimate(everything), _jackknife([estimate(np.delete(everything, g)) for g in everything])


def _groups(count: int) -> list[np.ndarray]:
    """Every 20th index, from each of the first 20; with fewer indices, one group each."""
    return [np.arange(first, count, GROUPS) for first in range(min(GROUPS, count))]


def _jackknife(left_out: list[float]) -> float:
    """Standard error from the estimates with one group left out each."""
    values = np.array(left_out)
    return float(np.sqrt((len(values) - 1) * ((values - values.mean()) ** 2).mean()))


def _group_sums(groups: list[np.ndarray]) -> np.ndarray:
    """Kernel sums float64[G, G] between groups of rows, no row with itself."""
    sums = np.zeros((len(groups), len(groups)))
    for one, rows in enumerate(groups):
        for other in range(one):
            sums[one, other] = sums[other, one] = kernel_sum(rows, groups[other])
        sums[one, one] = kernel_sum(rows, rows) - kernel_trace(rows)
    return sums
