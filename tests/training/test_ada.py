"""ADA's p against recorded runs of the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.training.objective.ada import ada_update, adjust_ada, init_ada, mean_sign, report_signs


def test_p_follows_recorded_mean_signs(golden):
    for case in golden("losses").meta["ada"]:
        p = case["p0"]
        for sign, expected in zip(case["mean_signs"], case["p"], strict=True):
            p = ada_update(p, sign, case["target"], case["batch_size"], case["ada_interval"], case["ada_kimg"])
            np.testing.assert_allclose(p, expected, rtol=0, atol=1e-6)


def test_signs_are_collected_in_groups_and_a_group_without_reports_keeps_the_mean(golden):
    losses = golden("losses")
    ada = init_ada()
    for group in losses.meta["ada_collector"]:
        for batch in group["batches"]:
            ada = report_signs(ada, jnp.asarray(losses["ada/collector_logits"][batch]))
        np.testing.assert_allclose(mean_sign(ada), group["mean"], rtol=0, atol=1e-6)
        ada = adjust_ada(ada, 1, 0.6, 32, 1, 500)


def test_recorded_training_run_is_followed_under_jit(golden):
    run = golden("trajectory").meta["ada_run"]
    s = run["settings"]

    @jax.jit
    def adjust(ada, step):
        return adjust_ada(ada, step, s["ada_target"], s["batch_size"], s["ada_interval"], s["ada_kimg"])

    ada = init_ada(s["augment_p"])
    recorded = zip(run["real_signs_per_iteration"], run["p_after_iteration"], strict=True)
    for step, (calls, expected) in enumerate(recorded, start=1):
        for signs in calls:
            ada = report_signs(ada, jnp.asarray(signs, jnp.float32))
        ada = adjust(ada, jnp.int32(step))
        np.testing.assert_allclose(ada["p"], expected, rtol=0, atol=1e-6)
        assert (ada["sign_count"] == 0) == (step % s["ada_interval"] == 0)


def test_p_rises_without_limit_and_never_falls_below_zero():
    ada = init_ada(0.95)
    for step in range(1, 4):
        ada = adjust_ada(report_signs(ada, jnp.ones(8)), step, 0.6, 100, 1, 1.0)
    np.testing.assert_allclose(ada["p"], 1.25, atol=1e-6)
    ada = adjust_ada(report_signs(ada, -jnp.ones(8)), 4, 0.6, 100_000, 1, 1.0)
    assert ada["p"] == 0


def test_state_is_a_fixed_pytree_of_float32_scalars():
    before = init_ada()
    after = adjust_ada(report_signs(before, jnp.ones((4, 1), jnp.bfloat16)), 1, 0.6, 8, 2, 1.0)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert all(leaf.shape == () and leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((before, after)))


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"target": 1.5, "batch_size": 8, "interval": 4, "ada_kimg": 1}, "ada_target=1.5"),
        ({"target": 0.6, "batch_size": 0, "interval": 4, "ada_kimg": 1}, "batch_size=0"),
        ({"target": 0.6, "batch_size": 8, "interval": 0, "ada_kimg": 1}, "ada_interval=0"),
        ({"target": 0.6, "batch_size": 8, "interval": 4, "ada_kimg": -1}, "ada_kimg=-1"),
    ],
)
def test_wrong_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        ada_update(0.0, 0.0, **settings)


def test_negative_p_is_refused():
    with pytest.raises(ValueError, match=r"-0\.1"):
        init_ada(-0.1)
