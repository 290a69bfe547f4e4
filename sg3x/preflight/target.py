"""Targets of a program: this machine, or a TPU slice described to libtpu without one being present."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Chip:
    """A TPU generation."""

    accelerator: str  # libtpu's name of the slice, without the number of chips
    clock: float  # Hz, of the cycles that the compiler estimates
    memory: float  # bytes of HBM a chip
    peak: float  # bfloat16 FLOP/s a chip


CHIPS = {
    "v5e": Chip("v5litepod", 1.5e9, 16 * 2**30, 197e12),
    "v6e": Chip("v6e", 1.75e9, 32 * 2**30, 918e12),
}


class PreflightError(ValueError):
    """The target cannot be compiled for; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """Devices to compile for; `chip` is None on this machine."""

    name: str
    devices: list[Any]
    chip: Chip | None


def parse_target(text: str) -> tuple[str, tuple[int, int]] | None:
    """("v5e", (2, 4)) of "v5e:2x4"; None of "local". Raises PreflightError for anything else."""
    if text == "local":
        return None
    found = re.fullmatch(r"(\w+):(\d+)x(\d+)", text)
    if found is None or found[1] not in CHIPS:
        raise PreflightError(f"--target {text!r} must be local, or a TPU slice like v5e:2x4 ({' or '.join(CHIPS)})")
    return found[1], (int(found[2]), int(found[3]))


def prepare_environment(text: str) -> None:
    """Sets what libtpu and the choice of formulations read; to be called before anything touches JAX's devices."""
    parsed = parse_target(text)
    if parsed is None:
        return
    if "TPU_LIBRARY_PATH" not in os.environ and importlib.util.find_spec("libtpu") is None:
        raise PreflightError(
            "compiling for a TPU needs its compiler, libtpu, though no TPU: pip install -c constraints.txt -e '.[tpu]' "
            "(or: pip install libtpu)"
        )
    kind, (x, y) = parsed
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": f"{CHIPS[kind].accelerator}-{x * y}",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "SG3X_COMPILE_FOR": "tpu",
    }


def find_target(text: str) -> Target:
    """The devices of a target. Raises PreflightError when libtpu does not know the slice."""
    import jax
    from jax.experimental import topologies

    parsed = parse_target(text)
    if parsed is None:
        return Target(f"local ({jax.devices()[0].device_kind})", list(jax.devices()), None)
    kind, (x, y) = parsed
    try:
        topology = topologies.get_topology_desc(
            platform="tpu", topology_name=f"{kind}:{x}x{y}", chips_per_host_bounds=(x, y, 1)
        )
    except Exception as error:
        raise PreflightError(f"libtpu does not know the slice {text}: {error}") from error
    return Target(text, list(np.ravel(np.array(topology.devices))), CHIPS[kind])
