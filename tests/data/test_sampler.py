"""The sampler is a pure function of (seed, image counter)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg3x.data.sampler import BatchReader, Sampler


def test_every_pass_shows_every_row_once():
    sampler = Sampler(10, seed=3)
    first, second = sampler.rows(0, 10), sampler.rows(10, 10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


@given(st.integers(1, 40), st.integers(0, 500), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_any_batch_can_be_addressed_directly(rows, start, count, seed):
    one_by_one = np.concatenate([Sampler(rows, seed).rows(start + i, 1) for i in range(count)])
    np.testing.assert_array_equal(Sampler(rows, seed).rows(start, count), one_by_one)


def test_seeds_differ():
    assert list(Sampler(100, 0).rows(0, 100)) != list(Sampler(100, 1).rows(0, 100))


def test_an_empty_array_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        Sampler(0, 0)


def test_reading_ahead_gives_the_sampled_rows_even_after_a_jump():
    array = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    reader = BatchReader(array, Sampler(20, 1), 6)
    for counter in (0, 6, 12, 300, 306, 6):
        np.testing.assert_array_equal(reader.read(counter).ravel(), Sampler(20, 1).rows(counter, 6))
    reader.close()
