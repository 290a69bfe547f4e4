"""What is computed unfused is not merged by XLA's CPU compiler into what reads it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.ops.fusion import unfused


def three_taps(x):
    return x[2:] + 3 * x[1:-1] + x[:-2]


def fused_loops(function, x):
    return len(re.findall(r" fusion\(", jax.jit(function).lower(x).compile().as_text()))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about the compiler for CPUs")
def test_two_sums_are_two_loops_and_the_same_numbers():
    x = jnp.asarray(np.random.RandomState(0).randn(1000), jnp.float32)

    def merged(x):
        return three_taps(jax.lax.optimization_barrier(three_taps(x)))

    def separate(x):
        return three_taps(unfused(three_taps, x))

    # The barrier is here to show why there is `unfused`; should XLA come to respect it, use it instead.
    assert fused_loops(merged, x) == 1 and fused_loops(separate, x) == 2
    np.testing.assert_allclose(jax.jit(separate)(x), merged(x), rtol=1e-5, atol=1e-5)


def test_it_takes_trees_and_can_be_differentiated():
    x, y = jnp.arange(4.0), jnp.arange(4.0, 8.0)

    def product(pair):
        return {"product": unfused(lambda pair: pair[0] * jnp.where(pair[1] > 5, pair[1], 0), pair)}["product"].sum()

    np.testing.assert_array_equal(jax.grad(product)((x, y))[0], [0, 0, 6, 7])
