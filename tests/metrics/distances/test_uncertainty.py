"""Error bars cover what they claim to, the extrapolation removes the bias, and all of it is deterministic."""

import numpy as np
import pytest

from sg3x.metrics.distances.frechet import FrechetTarget, feature_statistics, frechet_distance
from sg3x.metrics.distances.kernel import kernel_distances
from sg3x.metrics.distances.uncertainty import frechet_estimate, kernel_estimate


def draws(count: int, seed: int, dim: int = 6, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dim)) * scale + shift


@pytest.mark.parametrize("count", [200, 5])
def test_a_target_measures_what_the_distance_does(count):
    """With more rows than columns, and with fewer."""
    real, fake = draws(count, 0), draws(count + 3, 1, shift=0.5)
    expected = frechet_distance(*feature_statistics(real), *feature_statistics(fake))
    assert FrechetTarget.of(real).distance(fake) == pytest.approx(expected, rel=1e-10)


def test_error_bars_are_as_wide_as_scores_scatter():
    """The jackknife's mean against the spread over 60 independent sets of samples: equal within a third."""
    real = draws(2000, 0)
    sets = [draws(200, seed, shift=0.3) for seed in range(1, 61)]
    frechets = [frechet_estimate(real, fake) for fake in sets]
    scatter = np.std([f.distance for f in frechets], ddof=1)
    assert np.mean([f.stderr for f in frechets]) == pytest.approx(scatter, rel=0.33)
    kernels = [kernel_estimate(real, fake) for fake in sets]
    scatter = np.std([k for k, _ in kernels], ddof=1)
    assert np.mean([e for _, e in kernels]) == pytest.approx(scatter, rel=0.33)


def test_extrapolation_takes_the_bias_away():
    """Same distribution, true distance 0: 300 samples of 20 features score 0.4 in the mean, extrapolated under 0.1."""
    real = draws(200_000, 0, dim=20)
    found = [frechet_estimate(real, draws(300, seed, dim=20)) for seed in range(1, 13)]
    biased, corrected = np.mean([f.distance for f in found]), np.mean([f.infinity for f in found])
    assert biased > 0.3 and abs(corrected) < 0.1


def test_kernel_estimate_is_the_unbiased_statistic_on_everything():
    real, fake = draws(90, 0), draws(70, 1, shift=0.2)
    rows_real, rows_fake = np.arange(70)[None], np.arange(70)[None]
    [expected] = kernel_distances(real[:70], fake, real_rows=rows_real, fake_rows=rows_fake)
    assert kernel_estimate(real[:70], fake)[0] == pytest.approx(expected, rel=1e-10)
    mean = kernel_distances(real, fake, subsets=3000, subset_size=60).mean()
    assert kernel_estimate(real, fake)[0] == pytest.approx(mean, rel=0.05)


def test_kernel_estimate_of_the_same_distribution_is_zero_within_its_error():
    value, error = kernel_estimate(draws(800, 0), draws(800, 1))
    assert abs(value) < 4 * error


def test_few_samples_have_no_error_bar_and_no_extrapolation():
    found = frechet_estimate(draws(50, 0), draws(39, 1, dim=6))
    assert found.stderr is None and found.infinity is not None
    assert frechet_estimate(draws(50, 0, dim=30), draws(39, 1, dim=30)).infinity is None
    assert kernel_estimate(draws(50, 0), draws(39, 1))[1] is None


def test_the_same_numbers_every_time():
    real, fake = draws(100, 0), draws(120, 1)
    assert frechet_estimate(real, fake) == frechet_estimate(real, fake)
    assert kernel_estimate(real, fake) == kernel_estimate(real, fake)
