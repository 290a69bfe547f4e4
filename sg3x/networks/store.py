"""A generator on disk: a directory of generator.safetensors (weights) and config.json. Deterministic bytes, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from sg3x.files.atomic import atomic_folder
from sg3x.networks.generator import init_generator
from sg3x.networks.model import Generator
from sg3x.networks.schedule import GeneratorConfig

WEIGHTS = "generator.safetensors"
CONFIG = "config.json"


def save_generator(folder: Path, generator: Generator, about: dict[str, Any] | None = None) -> None:
    """Writes weights, buffers and configuration; `about` (lineage, plain JSON) goes into config.json."""
    tensors = {**generator.params, **generator.buffers}
    arrays = {name: np.array(tensors[name], np.float32, order="C") for name in sorted(tensors)}
    config = {"format": 1, "generator": generator.config.to_dict(), "about": about or {}}
    with atomic_folder(Path(folder)) as partial:
        (partial / WEIGHTS).write_bytes(save(arrays))
        (partial / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_generator(folder: str | Path) -> Generator:
    """The generator that `save_generator` wrote.

    Raises:
        ValueError: nothing there, damaged, or weights and configuration do not belong together (names what differs).
    """
    folder = Path(folder)
    try:
        config = GeneratorConfig.from_dict(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["generator"])
        tensors = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} is not there: pull it (dvc pull export) or run the export stage") from None
    except (json.JSONDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{folder} is not an exported generator: {error}") from None
    params, buffers = jax.eval_shape(lambda: init_generator(jax.random.key(0), config))
    expected = {name: tuple(x.shape) for name, x in {**params, **buffers}.items()}
    found = {name: x.shape for name, x in tensors.items()}
    if found != expected:
        names = sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
        raise ValueError(f"{folder}: weights do not fit {CONFIG}: {', '.join(names)}")
    arrays = {name: jnp.asarray(x) for name, x in tensors.items()}
    return Generator(config, {n: arrays[n] for n in params}, {n: arrays[n] for n in buffers})
