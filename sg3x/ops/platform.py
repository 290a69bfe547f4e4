"""The platform on which the code being traced will run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_single: ContextVar[bool] = ContextVar("single", default=False)


@contextmanager
def for_one_device() -> Iterator[None]:
    """A block whose code is traced for one device, however many there are: the same program wherever it is compiled."""
    token = _single.set(True)
    try:
        yield
    finally:
        _single.reset(token)


def on_one_device() -> bool:
    """True if the arrays being traced lie whole on one device: there is no other, or we are inside `jax.shard_map`
    or `for_one_device`.

    Only then may a formulation cut a batch into pieces; of a batch spread by the compiler it would gather all.
    """
    mesh = jax.sharding.get_abstract_mesh()
    inside_shard_map = not mesh.empty and len(mesh.manual_axes) == len(mesh.axis_names)
    return _single.get() or inside_shard_map or jax.device_count() == 1


def platform() -> str:
    """ "cpu", "gpu" or "tpu": what is being compiled for. `sg3x preflight` compiles for a TPU on machines without one and
    says so in SG3X_COMPILE_FOR."""
    return os.environ.get("SG3X_COMPILE_FOR") or jax.default_backend()
