"""The TPU kernel, interpreted: against banded matrices, values and gradients, at the generator's two kinds of layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.signal import design_lowpass_filter, filtered_lrelu


@pytest.mark.parametrize(
    "up, padding", [(2, (9, 10, 9, 10)), (4, (-3, 29, 21, 18))], ids=["same rate", "twice the rate, cropped"]
)
def test_the_kernel_agrees_with_banded_matrices(up, padding):
    fu = design_lowpass_filter(6 * up, 4.0, 8.0, 32)
    fd = design_lowpass_filter(12, 5.0, 8.0, 32)
    x = jnp.asarray(np.random.RandomState(0).randn(2, 7, 6, 3), jnp.float32)
    results = []
    for impl in ("banded", "pallas"):

        def f(x, impl=impl):
            return filtered_lrelu(x, fu, fd, up=up, down=2, padding=padding, clamp=0.7, impl=impl)

        y, pull = jax.vjp(jax.jit(f), x)
        results.append((y, pull(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))[0]))
    np.testing.assert_allclose(*[y for y, _ in results], atol=1e-5)
    np.testing.assert_allclose(*[dx for _, dx in results], atol=1e-5)
