"""Precision and recall against golden values and situations whose answer is known."""

import json
from pathlib import Path

import numpy as np
import pytest

import sg3x.metrics.distances.neighbours as module
from sg3x.metrics.distances.precision_recall import density_coverage, precision_recall

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics_features.npz"


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("rows_at_once", [1024, 64])
def test_equals_the_reference_implementation_exactly(case, rows_at_once, monkeypatch):
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", rows_at_once)
    with np.load(GOLDEN, allow_pickle=False) as golden:
        about = json.loads(str(golden["meta"]))["features"][case]
        real, fake = (golden[about["prefix"] + who] for who in ("real", "gen"))
    expected = (about["precision_fp64"], about["recall_fp64"])
    assert precision_recall(real, fake, about["k"]) == expected


def test_the_point_itself_is_no_neighbour():
    """On a line, k = 1: radii are 1, 1 and 8, so 0.5 and 16 are inside, 20 and -2 outside."""
    real, fake = np.array([[0.0], [1.0], [9.0]]), np.array([[0.5], [16.0], [20.0], [-2.0]])
    assert precision_recall(real, fake, k=1)[0] == 0.5


def test_few_modes_cost_recall_and_far_pictures_cost_precision():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((400, 4))
    narrow = precision_recall(real, 0.1 * rng.standard_normal((400, 4)))
    wide = precision_recall(real, 10 * rng.standard_normal((400, 4)))
    assert narrow[0] > 0.95
    assert narrow[1] < 0.2
    assert wide[0] < 0.2
    assert wide[1] > 0.5


@pytest.mark.parametrize("k", [0, 5])
def test_impossible_k_is_named(k):
    with pytest.raises(ValueError, match=f"k is {k}; allowed are 1 to 4"):
        precision_recall(np.eye(5), np.eye(9)[:, :5], k)


def test_density_and_coverage_of_known_sets():
    """On a line: real 0, 1, 2, 3, 10 with k = 1 have radii 1, 1, 1, 1, 7."""
    real = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]])
    # 0.5 lies in the balls of 0 and 1; 5 in the ball of 10; 100 in none.
    density, coverage = density_coverage(real, np.array([[0.5], [5.0], [100.0]]), k=1)
    assert density == pytest.approx((2 + 1 + 0) / 3)
    assert coverage == pytest.approx(3 / 5)


def test_density_and_coverage_of_the_same_distribution():
    """About 1, and 1 - 2^-k (Naeem et al. 2020, section 3)."""
    rng = np.random.default_rng(0)
    density, coverage = density_coverage(rng.standard_normal((2000, 4)), rng.standard_normal((2000, 4)), k=5)
    assert density == pytest.approx(1.0, abs=0.05) and coverage == pytest.approx(1 - 2**-5, abs=0.02)


def test_one_outlier_among_the_real_fools_precision_not_density():
    rng = np.random.default_rng(1)
    real = np.concatenate([rng.standard_normal((500, 2)), [[40.0, 0.0]]])
    far = rng.standard_normal((200, 2)) + np.array([20.0, 0.0])
    assert precision_recall(real, far)[0] > 0.9 > 0.3 > density_coverage(real, far)[0]
