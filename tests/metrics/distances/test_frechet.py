"""The Fréchet distance against golden values, closed forms, scipy's matrix root, and clean-fid's formula."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from sg3x.metrics.distances.frechet import feature_statistics, frechet_distance, trace_of_product_sqrt

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics_features.npz"


def rotation(dim: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]


def covariance(spectrum: np.ndarray, seed: int) -> np.ndarray:
    q = rotation(len(spectrum), seed)
    return (q * spectrum) @ q.T


@pytest.mark.parametrize("case", [0, 1])
def test_equals_the_reference_implementation(case):
    with np.load(GOLDEN, allow_pickle=False) as golden:
        about = json.loads(str(golden["meta"]))["features"][case]
        real, fake = (golden[f"{about['prefix']}{who}"] for who in ("real", "gen"))
        mu, sigma = feature_statistics(real, ddof=0)
        np.testing.assert_allclose(mu, golden[f"{about['prefix']}mu_real"], atol=1e-6)
        np.testing.assert_allclose(sigma, golden[f"{about['prefix']}sigma_real"], atol=1e-5)
    assert frechet_distance(mu, sigma, *feature_statistics(fake, ddof=0)) == pytest.approx(about["fid"], rel=1e-9)


def test_default_statistics_are_clean_fids():
    features = np.random.default_rng(0).standard_normal((40, 7)).astype(np.float32)
    mu, sigma = feature_statistics(features)
    np.testing.assert_allclose(mu, np.mean(features, axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(sigma, np.cov(features, rowvar=False), rtol=1e-12)


def test_whole_score_equals_clean_fids_formula():
    rng = np.random.default_rng(1)
    real, fake = rng.standard_normal((300, 24)), rng.standard_normal((260, 24)) * 1.3 + 0.2
    (mu1, mu2), (s1, s2) = zip(*((x.mean(0), np.cov(x, rowvar=False)) for x in (real, fake)), strict=True)
    expected = ((mu1 - mu2) ** 2).sum() + np.trace(s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real)
    assert frechet_distance(*feature_statistics(real), *feature_statistics(fake)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("condition", "rel"), [(1e1, 1e-12), (1e6, 1e-9)])
def test_trace_equals_scipys_matrix_root(condition, rel):
    spectrum = np.geomspace(1.0, 1.0 / condition, 60)
    s1, s2 = covariance(spectrum, 1), covariance(spectrum[::-1] * 3, 2)
    assert trace_of_product_sqrt(s1, s2) == pytest.approx(np.trace(scipy.linalg.sqrtm(s1 @ s2)).real, rel=rel)


@pytest.mark.parametrize("smallest", [1e-2, 1e-8, 1e-14, 0.0])
def test_commuting_covariances_have_the_closed_form(smallest):
    """For S1 = Q diag(a) Qᵀ and S2 = Q diag(b) Qᵀ: d² = sum (sqrt a - sqrt b)²; where sqrtm is off or fails."""
    a = np.concatenate([np.geomspace(5.0, 1e-2, 30), np.full(30, smallest)])
    b = np.concatenate([np.geomspace(1.0, 1e-1, 30), np.full(30, smallest)[::-1]])
    expected = ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = frechet_distance(np.zeros(60), covariance(a, 3), np.zeros(60), covariance(b, 3))
    assert found == pytest.approx(expected, rel=1e-7)


def test_fewer_images_than_dimensions_stays_exact():
    """tr (S1 S2)^(1/2) is the sum of singular values of the centred features' product, which needs no root at all."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((30, 200)), rng.standard_normal((25, 200)) * 2
    (mu1, s1), (mu2, s2) = feature_statistics(x), feature_statistics(y)
    product = ((x - mu1) / np.sqrt(29)) @ ((y - mu2) / np.sqrt(24)).T
    assert trace_of_product_sqrt(s1, s2) == pytest.approx(np.linalg.svd(product, compute_uv=False).sum(), rel=1e-12)


def test_known_gaussians():
    """Scaling one axis: (2 - 1)² + (3 - 3)²; shifting by (3, 4): 25."""
    assert frechet_distance([0, 0], np.diag([4.0, 9.0]), [3, 4], np.diag([1.0, 9.0])) == pytest.approx(26.0, rel=1e-14)
    assert frechet_distance([1.0], [[4.0]], [3.0], [[25.0]]) == pytest.approx(4 + 9, rel=1e-14)


@pytest.mark.parametrize("rows", [500, 20])
def test_identical_sets_are_at_distance_zero(rows):
    features = np.random.default_rng(5).standard_normal((rows, 64)) * 10
    statistics = feature_statistics(features)
    distance = frechet_distance(*statistics, *statistics)
    assert 0 <= distance < 1e-12 * np.trace(statistics[1])


def test_symmetric_in_its_arguments():
    a, b = (feature_statistics(np.random.default_rng(s).standard_normal((50, 8)) * s) for s in (1, 2))
    assert frechet_distance(*a, *b) == pytest.approx(frechet_distance(*b, *a), rel=1e-12)


@pytest.mark.parametrize(
    ("features", "message"),
    [(np.zeros((1, 4)), "N >= 2"), (np.zeros(4), r"shape \(4,\)"), (np.array([[1.0], [np.nan], [2.0]]), "first is 1")],
)
def test_wrong_features_are_named(features, message):
    with pytest.raises(ValueError, match=message):
        feature_statistics(features)


def test_wrong_shapes_and_values_are_named():
    with pytest.raises(ValueError, match="do not belong together"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="NaN or infinity"):
        frechet_distance(np.zeros(2), np.full((2, 2), np.inf), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="ddof is 2"):
        feature_statistics(np.zeros((4, 4)), ddof=2)
