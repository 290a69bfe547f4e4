"""An NVIDIA snapshot file as plain data: state dicts as numpy arrays, constructor options, names of classes."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.interop.torchpickle import Array, Module, Reducers, Tensor
from sg3x.interop.unpickle import Interpreter, UnsafePickleError

MAX_FILE_BYTES = 8 * 2**30
_MAX_DEPTH = 16  # of modules, and of options
_MAX_OPTIONS = 10_000
_NETWORKS = ("G", "D", "G_ema")
_KEYS = (*_NETWORKS, "augment_pipe", "training_set_kwargs")


@dataclass(frozen=True)
class NetworkState:
    """One network of a file: class name, constructor's keyword arguments, and arrays under the reference's names."""

    class_name: str
    init_kwargs: dict[str, Any]
    arrays: dict[str, np.ndarray]
    frozen: tuple[str, ...]  # weights and biases that are buffers: layers frozen by Freeze-D


@dataclass(frozen=True)
class Snapshot:
    """A whole file. Networks it does not have are None."""

    generator: NetworkState | None
    discriminator: NetworkState | None
    generator_ema: NetworkState
    training_set: dict[str, Any] | None


def read_snapshot(path: str | Path) -> Snapshot:
    """Reads a StyleGAN3 snapshot. No code in the file is run and nothing it names is imported.

    Raises:
        UnsafePickleError: the file asks for anything a network does not need, is damaged, or is another kind of file.
    """
    path = Path(path)
    try:
        return _snapshot(_read(path))
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path}: {error}") from None


def _read(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePickleError("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise UnsafePickleError(f"{status.st_size} bytes are more than any network has ({MAX_FILE_BYTES})")
    content = path.read_bytes()
    if content[:2] == b"PK":
        raise UnsafePickleError("this is a zip archive (a newer torch.save or a TorchScript file), not a snapshot")
    if content[:1] != b"\x80":
        raise UnsafePickleError("this is not a pickle of protocol 2 to 5")
    return content


def _snapshot(content: bytes) -> Snapshot:
    reducers = Reducers()
    stream = io.BytesIO(content)
    found = Interpreter(reducers.table, reducers.creators).run(stream)
    if stream.tell() != len(content):
        raise UnsafePickleError(f"{len(content) - stream.tell()} bytes after the pickle's end are refused")
    if type(found) is not dict or "G_ema" not in found:
        raise UnsafePickleError("there is no 'G_ema': this is not a snapshot of StyleGAN3")
    if unknown := sorted(str(key)[:40] for key in found.keys() - set(_KEYS)):
        raise UnsafePickleError(f"unknown entries: {', '.join(unknown[:8])}; a snapshot has {', '.join(_KEYS)}")
    budget = _Budget(2 * len(content) + 2**20)
    networks = {name: _network(name, found.get(name), budget) for name in _NETWORKS}
    if networks["G_ema"] is None:
        raise UnsafePickleError("'G_ema' is empty")
    training_set = found.get("training_set_kwargs")
    return Snapshot(
        networks["G"], networks["D"], networks["G_ema"],
        None if training_set is None else _options(training_set, "training_set_kwargs"),
    )  # fmt: skip


class _Budget:
    """Bytes that may still be copied: shared parts cannot be multiplied by naming them again and again."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> None:
        self.left -= size + 64
        if self.left < 0:
            raise UnsafePickleError("the tensors are larger than the file: parts are used over and over")


def _network(name: str, module: Any, budget: _Budget) -> NetworkState | None:
    if module is None:
        return None
    if type(module) is not Module:
        raise UnsafePickleError(f"{name!r} is a {type(module).__name__.lower()}, not a network")
    arrays: dict[str, np.ndarray] = {}
    frozen: list[str] = []
    _flatten(module, "", 0, arrays, frozen, budget)
    if module.state.get("_init_args", ()) != ():
        raise UnsafePickleError(f"{name!r} was constructed with unnamed arguments")
    options = _options(module.state.get("_init_kwargs", {}), f"{name}._init_kwargs")
    return NetworkState(module.class_name[:100], options, arrays, tuple(frozen))


def _flatten(
    module: Module, prefix: str, depth: int, arrays: dict[str, np.ndarray], frozen: list[str], budget: _Budget
) -> None:
    """Parameters and buffers of a module and of those inside, under dotted names."""
    if depth > _MAX_DEPTH:
        raise UnsafePickleError(f"modules are nested more than {_MAX_DEPTH} deep")
    budget.take(64 + len(prefix))
    for key, value in module.state.items():
        if str(key).endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and value:
            raise UnsafePickleError(f"{prefix}{key}: hooks are refused")
    for group in ("_parameters", "_buffers", "_modules"):
        members = module.state.get(group, {})
        if type(members) is not dict or any(type(name) is not str for name in members):
            raise UnsafePickleError(f"{prefix}{group} is not a dict of names")
        for name, value in members.items():
            full = f"{prefix}{name[:200]}"
            if value is None:
                continue  # a filter with one tap, an embedding without labels
            if group == "_modules" and type(value) is Module:
                _flatten(value, f"{full}.", depth + 1, arrays, frozen, budget)
            elif group != "_modules" and type(value) is Tensor:
                budget.take(value.values.size * 4)
                arrays[full] = np.array(value.values, np.float32, order="C")
                if group == "_buffers" and name in ("weight", "bias") and not full.startswith("synthesis.input."):
                    frozen.append(full)
            else:
                raise UnsafePickleError(f"{full} is a {type(value).__name__.lower()}, which {group} cannot hold")


def _options(value: Any, where: str) -> dict[str, Any]:
    """A dict of plain values: text, numbers, None, lists and dicts of them; numpy numbers become Python's."""
    if type(value) is not dict:
        raise UnsafePickleError(f"{where} is a {type(value).__name__.lower()}, not a dict")
    return _plain(value, where, 0, [_MAX_OPTIONS])


def _plain(value: Any, where: str, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _MAX_DEPTH:
        raise UnsafePickleError(f"{where}: too many options, or nested too deep")
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is str:
        return value[:10_000]
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is Array and value.values is not None:
        return value.values.tolist()
    if type(value) in (list, tuple):
        return [_plain(item, where, depth + 1, left) for item in value]
    if type(value) is dict:
        return {key: _plain(item, where, depth + 1, left) for key, item in value.items()}
    raise UnsafePickleError(f"{where} holds a {type(value).__name__.lower()}")
