"""How a batch is cut into microbatches: groups stay whole, and what cannot be says which parameter to change."""

import numpy as np
import pytest

from sg3x.training.execute.microbatches import Microbatches, choose_microbatches
from sg3x.training.execute.verbs import in_batch_order
from sg3x.training.problems import TrainingError


def test_groups_stay_whole():
    microbatches = Microbatches(batch_size=16, group=4, devices=2, size=8, executor="accumulated")
    cut = microbatches.arrange(np.arange(16))
    assert cut.shape == (2, 8)
    for one in cut:
        inside = one.reshape(4, 2)  # the discriminator's rule: sample n of group n mod (8 / 4)
        for group in inside.T:
            assert len({n % 4 for n in group}) == 1  # of one group in the whole batch too
    assert sorted(cut.ravel()) == list(range(16))


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_what_was_cut_comes_back_in_the_order_of_the_batch(size):
    microbatches = Microbatches(batch_size=16, group=2, devices=1, size=size, executor="accumulated")
    batch = np.random.RandomState(0).randn(16, 3)
    cut = microbatches.arrange(batch)
    assert cut.shape == (16 // size, size, 3)
    np.testing.assert_array_equal(in_batch_order(cut, 2), batch)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((6, 4, 4, None, False), "batch_size=6 does not divide over 4 devices"),
        ((16, 4, 2, 6, False), "batch_per_device=6 must be a multiple of discriminator.mbstd_group_size=4"),
        ((32, 4, 2, 12, False), "allowed are 4, 8, 16, or null"),
        ((32, 4, 2, 4, True), "batch_per_device=4 has no meaning with deterministic"),
    ],
)
def test_a_cut_that_cannot_be_names_the_parameters(arguments, message):
    with pytest.raises(TrainingError, match=message):
        choose_microbatches(*arguments)


def test_a_microbatch_of_the_whole_share_is_no_part():
    for no_less_than_the_share in (8, 12, 13, 16, 64, None):
        chosen = choose_microbatches(16, 4, 2, no_less_than_the_share, False)
        assert chosen.executor == "whole" and chosen.count == 1
