"""The kernel distance against golden values and its definition."""

import json
from pathlib import Path

import numpy as np
import pytest

from sg3x.metrics.distances.kernel import kernel_distance, kernel_distances

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics_features.npz"


def features(rows: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 12)) + shift


@pytest.mark.parametrize("case", [0, 1])
def test_equals_the_reference_implementation_on_its_rows(case):
    with np.load(GOLDEN, allow_pickle=False) as golden:
        about = json.loads(str(golden["meta"]))["features"][case]
        real, fake, real_rows, fake_rows = (
            golden[about["prefix"] + key] for key in ("real", "gen", "kid_real_idx", "kid_gen_idx")
        )
    found = kernel_distance(real, fake, real_rows=real_rows, fake_rows=fake_rows)
    assert found == pytest.approx(about["kid"], rel=1e-6)


def test_one_subset_is_the_unbiased_estimate_by_its_definition():
    x, y = features(6, 0), features(6, 1, 0.5)

    def k(a, b):
        return (float(a @ b) / 12 + 1) ** 3

    pairs = [(i, j) for i in range(6) for j in range(6)]
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs if i != j) / 30
    expected = within - 2 * sum(k(x[i], y[j]) for i, j in pairs) / 36
    assert kernel_distances(x, y, subsets=1) == pytest.approx([expected], rel=1e-12)


def test_rows_follow_the_seed_and_are_not_repeated_within_a_subset():
    real, fake = features(200, 0), features(150, 1, 0.3)
    first = kernel_distances(real, fake, subsets=4, subset_size=50, seed=7)
    np.testing.assert_array_equal(first, kernel_distances(real, fake, subsets=4, subset_size=50, seed=7))
    assert not np.allclose(first, kernel_distances(real, fake, subsets=4, subset_size=50, seed=8))
    everything = kernel_distances(real[:150], fake, subsets=3, subset_size=1000)
    np.testing.assert_allclose(everything, everything[0], rtol=1e-10)


def test_unbiased_near_zero_for_one_distribution_and_grows_with_a_shift():
    same, near, far = (
        kernel_distance(features(400, 0), features(400, 1, s), subsets=10, subset_size=200) for s in (0, 0.3, 1.0)
    )
    assert abs(same) < 0.02 < near < far


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="12 columns and generated ones 3"):
        kernel_distance(features(5, 0), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="both or neither"):
        kernel_distance(features(5, 0), features(5, 1), real_rows=np.zeros((1, 2), int))
    with pytest.raises(ValueError, match="subset size is 1"):
        kernel_distance(features(5, 0), features(5, 1), subset_size=1)
