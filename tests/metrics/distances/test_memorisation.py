"""Copies are found, new pictures are not accused, and a picture's mirror image is not its neighbour."""

import numpy as np
import pytest

from sg3x.metrics.distances.memorisation import memorisation
from sg3x.metrics.distances.neighbours import nearest, squared_distances, squared_radii


def draws(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 8))


def test_new_draws_are_as_far_as_the_pictures_from_each_other():
    found = memorisation(draws(1500, 0), draws(1500, 1))
    assert found.neighbour_ratio == pytest.approx(1.0, abs=0.05)
    assert found.authenticity == pytest.approx(0.55, abs=0.06)


def test_copies_score_zero_and_name_the_original():
    real = draws(300, 0)
    found = memorisation(real, real[40:60] + 1e-6)
    assert found.neighbour_ratio < 1e-4 and found.authenticity == 0.0
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(40, 60))


def test_half_copies_lower_the_authenticity_by_half():
    real = draws(1000, 0)
    found = memorisation(real, np.concatenate([real[:200] + 1e-6, draws(200, 1) + 4]))
    assert found.authenticity == pytest.approx(0.5, abs=0.02)


def test_a_mirror_image_is_not_a_neighbour():
    """Mirror images next to their pictures: counted as neighbours, everything else would look far away."""
    real = draws(400, 0)
    both = np.concatenate([real, real + 1e-3])
    fake = draws(400, 1)
    alone = memorisation(real, fake)
    assert memorisation(both, fake, originals=400).neighbour_ratio == pytest.approx(alone.neighbour_ratio, rel=0.01)
    assert memorisation(both, fake).neighbour_ratio > 100 * alone.neighbour_ratio


def test_wrong_counts_are_named():
    with pytest.raises(ValueError, match="30 rows of 20 pictures"):
        memorisation(draws(30, 0), draws(5, 1), originals=20)


def test_duplicates_among_the_pictures_leave_no_ratio_but_all_the_rest():
    real = draws(9, 0)
    found = memorisation(np.concatenate([real, real]), draws(5, 1))
    assert found.neighbour_ratio is None and found.authenticity == 1.0
    np.testing.assert_array_equal(found.rows[:, 1] - found.rows[:, 0], 9)  # each picture, then its duplicate


def test_neighbours_in_blocks_are_the_plain_ones():
    a, b = draws(1100, 0), draws(37, 1)
    plain = np.linalg.norm(a[:, None] - b[None], axis=2)
    rows, distances = nearest(a, b, 3)
    np.testing.assert_array_equal(rows, np.argsort(plain, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(plain, axis=1)[:, :3], atol=1e-10)
    np.testing.assert_allclose(squared_distances(b, a), plain.T**2, atol=1e-10)
    apart = np.linalg.norm(b[:, None] - b[None], axis=2)
    np.testing.assert_allclose(squared_radii(b, 2), np.sort(apart, axis=1)[:, 2] ** 2, atol=1e-10)
