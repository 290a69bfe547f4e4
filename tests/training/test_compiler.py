"""What XLA is told of training programs."""

import jax
import jax.numpy as jnp
import pytest

from sg3x.training.execute.compiler import compiler_options

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="about the compiler for CPUs")


@pytest.mark.parametrize("ordered", [True, False])
def test_matrix_products_are_eigens(ordered):
    product = jax.jit(lambda a, b: (a + 1) @ b).lower(jnp.ones((300, 512)), jnp.ones((512, 512)))
    assert "ynn" in product.compile().as_text(), "no longer XLA's choice: the option can go"
    assert "ynn" not in product.compile(compiler_options=compiler_options(ordered)).as_text()


def test_a_version_of_xla_without_the_option_does_without(monkeypatch):
    from sg3x.training.execute import compiler

    monkeypatch.setattr(compiler, "_CPU", {"xla_no_such_option": "1"})
    compiler._takes_cpu_options.cache_clear()
    try:
        assert compiler_options(ordered=True) is None
    finally:
        compiler._takes_cpu_options.cache_clear()
