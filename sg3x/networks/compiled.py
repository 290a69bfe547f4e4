"""Calls of networks from Python, compiled once per shape; under another trace they dissolve into it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from flax import nnx

from sg3x.ops.calling import own_arithmetic

F = TypeVar("F", bound=Callable[..., Any])


def compiled(*static: str) -> Callable[[F], F]:
    """Decorator: f(network, ...) as a compiled program; `static` names its options.

    With the option `track` the network's running means move. Without, the network is an argument like any other, which costs
    a third of a call that may change it. The network's own arithmetic is fixed: a caller's rule on rank promotion does not
    concern it.
    """

    def wrap(function: F) -> F:
        moving = nnx.jit(function, graph=False, inline=True, static_argnames=static)
        still = jax.jit(function, inline=True, static_argnames=static)

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            with own_arithmetic():
                return (moving if options.get("track") else still)(*args, **options)

        return call  # type: ignore[return-value]

    return wrap
