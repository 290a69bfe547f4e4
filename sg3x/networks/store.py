"""Networks on disk: a directory of .safetensors files (weights) and config.json. Deterministic bytes, no pickle.

`generator.safetensors` is the generator to draw with. A directory that training can start from (`sg3x import-nvidia`
makes them) also has `training_generator.safetensors`, the weights that are being trained rather than their average, and
`discriminator.safetensors`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from sg3x.files.atomic import atomic_folder
from sg3x.networks.discriminator import Discriminator, DiscriminatorConfig
from sg3x.networks.equalized import float32
from sg3x.networks.generator import Generator
from sg3x.networks.naming import Definition, Params, bind, definition, differences, flat, refuse
from sg3x.networks.schedule import GeneratorConfig
from sg3x.networks.variables import Buffer, Transform

WEIGHTS = "generator.safetensors"
TRAINING_WEIGHTS = "training_generator.safetensors"
DISCRIMINATOR_WEIGHTS = "discriminator.safetensors"
CONFIG = "config.json"
_GET_IT = "pull it (dvc pull export), run the export stage, or import it anew (sg3x import-nvidia)"


@dataclass(frozen=True)
class StoredNetworks:
    """What a directory holds; `training_generator` and `discriminator` only when training can start from it."""

    generator: Generator  # averaged
    training_generator: Generator | None
    discriminator: Discriminator | None
    about: dict[str, Any]


def save_generator(folder: Path, generator: Generator, about: dict[str, Any] | None = None) -> None:
    """Writes weights, buffers and configuration; `about` (lineage, plain JSON) goes into config.json."""
    save_networks(folder, StoredNetworks(generator, None, None, about or {}))


def save_networks(folder: Path, networks: StoredNetworks) -> None:
    """Writes everything that `load_networks` gives back; generators must share a configuration."""
    generator, training, discriminator = networks.generator, networks.training_generator, networks.discriminator
    config = {"format": 1, "generator": generator.config.to_dict(), "about": networks.about}
    files = {WEIGHTS: _weights(generator)}
    if (transform := generator.synthesis.input.transform) is not None:
        config["transform"] = np.asarray(transform[...], np.float32).tolist()
    if training is not None:
        if training.config != generator.config:
            raise ValueError("the training generator and its average have different configurations")
        files[TRAINING_WEIGHTS] = _weights(training)
    if discriminator is not None:
        config["discriminator"] = discriminator.config.to_dict()
        files[DISCRIMINATOR_WEIGHTS] = _weights(discriminator)
    with atomic_folder(Path(folder)) as partial:
        for name, tensors in files.items():
            (partial / name).write_bytes(_to_bytes(tensors))
        (partial / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_generator(folder: str | Path) -> Generator:
    """The generator that `save_generator` or `save_networks` wrote.

    Raises:
        ValueError: nothing there, damaged, or weights and configuration do not belong together (names what differs).
    """
    folder = Path(folder)
    return _generator(folder, _read_config(folder), WEIGHTS)


def load_networks(folder: str | Path) -> StoredNetworks:
    """Everything a directory holds; raises as `load_generator` does."""
    folder = Path(folder)
    config = _read_config(folder)
    training = _generator(folder, config, TRAINING_WEIGHTS) if (folder / TRAINING_WEIGHTS).exists() else None
    discriminator = None
    if "discriminator" in config:
        try:
            shape = DiscriminatorConfig.from_dict(config["discriminator"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{folder / CONFIG} has no valid discriminator: {error}") from None
        defined = definition(Discriminator, shape)
        discriminator = bind(defined, _tensors(folder, DISCRIMINATOR_WEIGHTS, defined))
    return StoredNetworks(_generator(folder, config, WEIGHTS), training, discriminator, config.get("about", {}))


def _weights(network: nnx.Module) -> Params:
    """All that the configuration does not say, but a stranger's transform: parameters and buffers."""
    return {**flat(network, nnx.Param), **flat(network, Buffer)}


def _to_bytes(tensors: Mapping[str, Any]) -> bytes:
    # np.array keeps 0-d arrays 0-d, and safetensors wants C order.
    return save({name: np.array(tensors[name], np.float32, order="C") for name in sorted(tensors)})


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{folder / CONFIG} is not there: {_GET_IT}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder} holds no network: {CONFIG}: {error}") from None
    if not isinstance(config, dict) or "generator" not in config:
        raise ValueError(f"{folder} holds no network: {CONFIG} has no key 'generator'")
    return config


def _generator(folder: Path, config: dict[str, Any], file: str) -> Generator:
    try:
        shape = GeneratorConfig.from_dict(config["generator"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} holds no network: {error}") from None
    defined = definition(Generator, shape)
    generator: Generator = bind(defined, _tensors(folder, file, defined))
    transform = config.get("transform") if file == WEIGHTS else None
    if transform is not None:
        generator.synthesis.input.transform = Transform(float32(np.reshape(transform, (3, 3))))
    return generator


def _tensors(folder: Path, file: str, defined: Definition) -> Params:
    """The arrays of one file, exactly those of the definition."""
    try:
        tensors = load_file(folder / file)
    except FileNotFoundError:
        raise ValueError(f"{folder / file} is not there: {_GET_IT}") from None
    except SafetensorError as error:
        raise ValueError(f"{folder} is damaged: {file}: {error}") from None
    wanted = defined[1]
    refuse(differences(tensors, wanted), f"{folder}: {file} does not fit {CONFIG}: weights do not fit")
    return {name: float32(tensors[name]) for name in wanted}
