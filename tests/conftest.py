"""Strict JAX settings for every test, and the golden arrays.

`tests/golden/*.npz` were computed by the reference implementation; `tolerances.json` holds the absolute tolerance of each.
"""

import json
import os
from functools import cache, lru_cache
from pathlib import Path

# Eight devices for the sharding tests; tests compile more than they compute, so the costly optimisations are left out.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ.setdefault("XLA_FLAGS", FLAGS)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from tests.shared import COMPILED

os.environ |= COMPILED

import jax
import numpy as np
import pytest
from hypothesis import settings

# The same commit passes or fails every time.
settings.register_profile("the same examples every time", derandomize=True)
settings.load_profile("the same examples every time")
jax.config.update("jax_default_matmul_precision", "highest")

pytest_plugins = ["tests.fileserver"]

GOLDEN = Path(__file__).parent / "golden"


@cache
def _tolerances() -> dict[str, dict[str, float]]:
    return json.loads((GOLDEN / "tolerances.json").read_text())


def record_fidelity(topic: str, key: str, error: float, largest: float, atol: float) -> None:
    """One line of what docs/fidelity.md is made from, when `python -m tests.fidelity` asks for it."""
    if target := os.environ.get("SG3X_FIDELITY"):
        line = {"topic": topic, "key": key, "error": float(error), "largest": float(largest), "atol": float(atol)}
        with open(target, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Golden:
    """One file of golden arrays, images as [N, H, W, C]."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrays = np.load(GOLDEN / f"{name}.npz", allow_pickle=False)
        self.meta = json.loads(str(self.arrays["meta"])) if "meta" in self.arrays else {}
        self.atol = _tolerances()[f"{name}.npz"]

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """All arrays under `prefix`, without it."""
        return {k.removeprefix(prefix): self.arrays[k] for k in self.arrays.files if k.startswith(prefix)}

    def nhwc(self, key: str) -> np.ndarray:
        return self.arrays[key].transpose(0, 2, 3, 1)

    def check(self, mine, key: str, factor: float = 1.0) -> None:
        """Elementwise |mine - golden| <= atol of that array; four-dimensional values are taken as [N, H, W, C]."""
        mine, golden = np.asarray(mine), self.arrays[key]
        if golden.ndim == 4:
            golden = golden.transpose(0, 2, 3, 1)
        assert mine.shape == golden.shape, f"{key}: shape {mine.shape}, golden {golden.shape}"
        error = np.abs(mine.astype(np.float64) - golden).max(initial=0)
        record_fidelity(self.name, key, error, np.abs(golden).max(initial=0), self.atol[key] * factor)
        assert error <= self.atol[key] * factor, f"{key}: error {error:.3g} exceeds {self.atol[key] * factor:.3g}"


# The files that take minutes, longest first: begun at once, none is left over for one worker at the end.
LONG = (
    "workflow/test_repro.py", "workflow/test_interruptions.py", "workflow/test_remotes.py", "training/test_quality.py",
    "training/test_processes.py", "training/test_executors.py", "training/test_loop.py", "networks/test_generator.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Needs --no-loadscope-reorder, or pytest-xdist begins with the files of most tests."""
    place = {name: i for i, name in enumerate(LONG)}
    here = Path(__file__).parent
    items.sort(key=lambda item: place.get(item.path.relative_to(here).as_posix(), len(LONG)))


@pytest.fixture(scope="session")
def golden():
    return lru_cache(maxsize=None)(Golden)


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_are_dropped():
    """Every file's programs go when it is done: kept, they fill gigabytes."""
    yield
    jax.clear_caches()
