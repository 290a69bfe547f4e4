"""Rules of all public operators: pictures are floats, a caller's strictness ends at them, and refusals say what helps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

F = TypeVar("F", bound=Callable[..., Any])

_NO_FORWARD_MODE = (
    "forward-mode differentiation (jax.jvp, jax.jacfwd, jax.linearize) needs operators without hand-written gradients: set "
    "SG3X_FILTERED_LRELU=reference, SG3X_UPFIRDN2D=reference and SG3X_CONV=lax in the environment before the first call, or "
    "use jax.vjp / jax.grad"
)


def picture_operator(function: F) -> F:
    """Decorator: f(x, ...) with x[N, H, W, C] of floats, called by users as by the networks."""

    @functools.wraps(function)
    def call(x: Any, *args: Any, **options: Any) -> Any:
        refuse_integers("x", x)
        with own_arithmetic():
            return function(x, *args, **options)

    return call  # type: ignore[return-value]


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """A block with our own rank promotion and transfers of constants, in which forward mode is refused by name."""
    try:
        with jax.numpy_rank_promotion("allow"), jax.transfer_guard("allow"):
            yield
    except TypeError as error:
        if "forward-mode" not in str(error) or str(error) == _NO_FORWARD_MODE:
            raise
        raise TypeError(_NO_FORWARD_MODE) from error


def refuse_integers(name: str, x: Any) -> None:
    """Raises ValueError for pictures that are not yet numbers about -1..1."""
    if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
        raise ValueError(
            f"{name} is {jnp.result_type(x).name}; allowed are floats about -1..1: pictures of 0..255 as x / 127.5 - 1"
        )
