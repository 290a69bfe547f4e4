"""The TPU kernel, interpreted: against banded matrices, values and gradients, at the generator's two kinds of layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sg3x.ops import design_lowpass_filter, filtered_lrelu
from sg3x.ops.filtered_lrelu import default_formulation


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


def kernels_of(size, channels=128, up=2, down=2, radial=False):
    """How many kernels the forward pass of a layer is traced to, when the kernel is asked for."""
    fu = design_lowpass_filter(6 * up, 4.0, 8.0, 32)
    fd = design_lowpass_filter(6 * down, 5.0, 8.0, 32, radial=radial)
    x = jax.ShapeDtypeStruct((1, size, size, channels), jnp.bfloat16)
    traced = jax.make_jaxpr(lambda x: filtered_lrelu(x, fu, fd, up=up, down=down, padding=11, impl="pallas"))(x)
    return str(traced).count("platform_index")


def test_layers_that_the_kernel_does_not_know_or_that_do_not_fit_go_the_banded_way():
    assert kernels_of(36) > 0 and kernels_of(148) > 0
    assert kernels_of(36, radial=True) == 0
    assert kernels_of(36, up=2, down=4) == 0
    assert kernels_of(532) == 0  # the last layers of a 512x512 generator


def test_the_kernel_is_a_tpus_choice_where_its_lanes_are_used(monkeypatch):
    assert default_formulation(512) in ("banded", "chunked")
    monkeypatch.setenv("SG3X_COMPILE_FOR", "tpu")
    monkeypatch.setattr("jax.device_count", lambda: 1)
    assert default_formulation(512) == "pallas"
    assert default_formulation(32) == "banded"
    monkeypatch.setattr("jax.device_count", lambda: 8)  # and no mesh in force
    assert default_formulation(512) == "banded"
