"""Networks on disk: a directory of .safetensors files (weights) and config.json. Deterministic bytes, no pickle.

`generator.safetensors` is the generator to draw with. A directory that training can start from (`sg3x import-nvidia`
makes them) also has `training_generator.safetensors`, the weights that are being trained rather than their average, and
`discriminator.safetensors`.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sg3x.files.atomic import Made, atomic_folder
from sg3x.files.printable import printable, printable_values
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
NETWORK = Made(
    "a network that sg3x wrote",
    (WEIGHTS, TRAINING_WEIGHTS, DISCRIMINATOR_WEIGHTS, CONFIG),
    mark=CONFIG,
    recognise=lambda folder: stored_about(folder) is not None,
)
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}  # as safetensors calls them
_LARGEST_CONFIG = 4 * 2**20  # bytes
_GET_IT = "pull it (dvc pull export), run the export stage, or import it anew (sg3x import-nvidia)"


@dataclass(frozen=True)
class StoredNetworks:
    """Networks of a directory; `training_generator` and `discriminator` only when training can start from it."""

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
    with atomic_folder(Path(folder), NETWORK) as partial:
        for name, tensors in files.items():
            (partial / name).write_bytes(_to_bytes(tensors))
        (partial / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def stored_about(folder: Path) -> dict[str, Any] | None:
    """The lineage of the network in `folder`; None: there is no network."""
    try:
        about = _read_config(folder).get("about", {})
    except (ValueError, OSError):
        return None
    return about if isinstance(about, dict) else {}


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
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG} has no valid discriminator: discriminator: {error}") from None
        defined = definition(Discriminator, shape)
        discriminator = bind(defined, _tensors(folder, DISCRIMINATOR_WEIGHTS, defined))
    about = config.get("about", {})
    if not isinstance(about, dict):
        raise ValueError(f"{folder / CONFIG}: about must hold keys and values, this is {printable(repr(about), 100)}")
    return StoredNetworks(_generator(folder, config, WEIGHTS), training, discriminator, printable_values(about))


def _weights(network: nnx.Module) -> Params:
    """All that the configuration does not say, but a stranger's transform: parameters and buffers."""
    return {**flat(network, nnx.Param), **flat(network, Buffer)}


def _to_bytes(tensors: Mapping[str, Any]) -> bytes:
    # np.array keeps 0-d arrays 0-d, and safetensors wants C order.
    return save({name: np.array(tensors[name], np.float32, order="C") for name in sorted(tensors)})


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_CONFIG:
            raise ValueError(f"it must be a file of at most {_LARGEST_CONFIG} bytes")
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path} is not there: {_GET_IT}") from None
    except RecursionError:
        raise ValueError(f"{folder} holds no network: {CONFIG}: it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"{folder} holds no network: {CONFIG}: {printable(error)}") from None
    if not isinstance(config, dict) or "generator" not in config:
        raise ValueError(f"{folder} holds no network: {CONFIG} has no key 'generator'")
    return config


def _generator(folder: Path, config: dict[str, Any], file: str) -> Generator:
    try:
        shape = GeneratorConfig.from_dict(config["generator"])
        defined = definition(Generator, shape)
    except ValueError as error:
        raise ValueError(f"{folder} holds no network: {CONFIG}: generator: {error}") from None
    generator: Generator = bind(defined, _tensors(folder, file, defined))
    transform = _transform(folder, config.get("transform")) if file == WEIGHTS else None
    if transform is not None:
        generator.synthesis.input.transform = Transform(float32(transform))
    return generator


def _transform(folder: Path, values: Any) -> np.ndarray | None:
    """The transform of the Fourier input's coordinates, float32[3, 3]."""
    if values is None:
        return None
    try:
        with np.errstate(over="ignore"):  # too large is infinite, and refused below
            found = np.array(values, np.float32)
    except (TypeError, ValueError, OverflowError):
        found = np.zeros(0, np.float32)
    if found.shape != (3, 3) or not np.isfinite(found).all():
        raise ValueError(f"{folder / CONFIG}: transform={printable(repr(values), 100)} must be 3 x 3 finite numbers")
    return found


def _tensors(folder: Path, file: str, defined: Definition) -> Params:
    """The arrays of one file, exactly those of the definition. Names, types and shapes are compared before anything is read."""
    path = folder / file
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path} is not a regular file")
        with safe_open(path, framework="numpy") as tensors:
            slices = {name: tensors.get_slice(name) for name in list(tensors.keys())}
            found = {
                name: _Stored(tuple(x.get_shape()), _DTYPES.get(x.get_dtype(), x.get_dtype()))
                for name, x in slices.items()
            }
            problems = differences(found, defined[1], dtypes=True)
            refuse(problems, f"{folder}: {file} does not fit {CONFIG}: weights do not fit")
            return {name: float32(tensors.get_tensor(name)) for name in defined[1]}
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path} is not there: {_GET_IT}") from None
    except SafetensorError as error:
        raise ValueError(f"{folder} is damaged: {file}: {printable(error)}") from None
    except MemoryError:
        raise ValueError(f"{path}: there is not enough memory for its {path.stat().st_size} bytes") from None


@dataclass(frozen=True)
class _Stored:
    """Shape and type of an array that is still in its file."""

    shape: tuple[int, ...]
    dtype: str
