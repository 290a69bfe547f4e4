"""An NVIDIA snapshot file as plain data: state dicts as numpy arrays, constructor options, names of classes."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.files.printable import printable
from sg3x.interop.budget import Budget, BudgetError, UnsafePickleError
from sg3x.interop.filekind import first_bytes, other_kind
from sg3x.interop.torchpickle import Array, Module, Reducers, Tensor
from sg3x.interop.unpickle import Interpreter

MAX_FILE_BYTES = 8 * 2**30
_MAX_DEPTH = 16  # of modules, and of options
_MAX_OPTIONS = 10_000  # of all options of one dict, a number of an array and 100 characters of a text counting as one
_LONGEST_NAME = 200
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
    """A whole file. Networks that it lacks, or that cannot be read, are None; `notes` says what was left out, and why."""

    generator: NetworkState | None
    discriminator: NetworkState | None
    generator_ema: NetworkState
    training_set: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)


def read_snapshot(path: str | Path) -> Snapshot:
    """Reads a StyleGAN3 snapshot. No code in the file is run and nothing it names is imported.

    Raises:
        UnsafePickleError: the file asks for anything a network does not need, is damaged, or is another kind of file.
    """
    path = Path(path)
    try:
        return _snapshot(_read(path))
    except UnsafePickleError as error:
        raise type(error)(f"{path}: {error}") from None
    except MemoryError:
        raise UnsafePickleError(f"{path}: there is not enough memory to read it") from None


def _read(path: Path) -> bytes:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise UnsafePickleError("this is a folder: give the .pkl file in it")
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePickleError("not a regular file")
    if kind := other_kind(first_bytes(path)):
        raise UnsafePickleError(f"this is {kind}")
    if status.st_size > MAX_FILE_BYTES:
        raise UnsafePickleError(f"{status.st_size} bytes are more than any network has ({MAX_FILE_BYTES})")
    return path.read_bytes()


def _snapshot(content: bytes) -> Snapshot:
    budget = Budget(len(content))
    reducers = Reducers(budget)
    stream = io.BytesIO(content)
    found = Interpreter(reducers.table, reducers.creators, budget=budget).run(stream)
    if stream.tell() != len(content):
        raise UnsafePickleError(f"{len(content) - stream.tell()} bytes after the pickle's end are refused")
    if type(found) is not dict or "G_ema" not in found:
        raise UnsafePickleError("there is no 'G_ema': this is not a snapshot of StyleGAN3")
    notes: list[str] = []
    if unknown := sorted(printable(key, 40) for key in found.keys() - set(_KEYS)):
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        notes.append(f"ignored, since drawing does not need it: {', '.join(unknown[:8])}{more}")
    average = _network("G_ema", found["G_ema"], budget)
    if average is None:
        raise UnsafePickleError("'G_ema' is empty")
    others = {name: _only_for_training(name, found.get(name), budget, notes) for name in ("G", "D")}
    training_set = found.get("training_set_kwargs")
    if training_set is not None:
        try:
            training_set = _options(training_set, "training_set_kwargs", budget)
        except UnsafePickleError as error:
            notes.append(f"ignored: {_reason(error)}")
            training_set = None
    return Snapshot(others["G"], others["D"], average, training_set, notes)


def _only_for_training(name: str, module: Any, budget: Budget, notes: list[str]) -> NetworkState | None:
    """A network that pictures do not need: what is wrong with it becomes a note."""
    try:
        return _network(name, module, budget)
    except UnsafePickleError as error:
        notes.append(f"{name} is left out: {_reason(error)}")
        return None


def _reason(error: UnsafePickleError) -> str:
    """The error's words; a spent budget is never only a note."""
    if isinstance(error, BudgetError):
        raise error
    return str(error)


def _network(name: str, module: Any, budget: Budget) -> NetworkState | None:
    if module is None:
        return None
    if type(module) is not Module:
        raise UnsafePickleError(f"{name!r} is a {type(module).__name__.lower()}, not a network")
    arrays: dict[str, np.ndarray] = {}
    frozen: list[str] = []
    _flatten(module, "", 0, arrays, frozen, budget)
    if module.state.get("_init_args", ()) != ():
        raise UnsafePickleError(f"{name!r} was constructed with unnamed arguments")
    options = _options(module.state.get("_init_kwargs", {}), f"{name}._init_kwargs", budget)
    return NetworkState(printable(module.class_name, 100), options, arrays, tuple(frozen))


def _flatten(
    module: Module, prefix: str, depth: int, arrays: dict[str, np.ndarray], frozen: list[str], budget: Budget
) -> None:
    """Parameters and buffers of a module and of those inside, under dotted names."""
    if depth > _MAX_DEPTH:
        raise UnsafePickleError(f"modules are nested more than {_MAX_DEPTH} deep")
    budget.take(64 + len(prefix), 10 + len(module.state))
    for key, value in module.state.items():
        if str(key).endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and value:
            raise UnsafePickleError(f"{prefix}{printable(key, 100)}: hooks are refused")
    for group in ("_parameters", "_buffers", "_modules"):
        members = module.state.get(group, {})
        budget.take(0, len(members) if type(members) is dict else 1)
        if type(members) is not dict or any(type(name) is not str for name in members):
            raise UnsafePickleError(f"{prefix}{group} is not a dict of names")
        for name, value in members.items():
            if value is None:
                continue  # a filter with one tap, an embedding without labels
            if len(name) > _LONGEST_NAME or not name.isprintable():
                raise UnsafePickleError(f"{prefix}{printable(name, 100)}: no part of a network has such a name")
            full = f"{prefix}{name}"
            budget.take(64 + len(full), 5)
            if group == "_modules" and type(value) is Module:
                _flatten(value, f"{full}.", depth + 1, arrays, frozen, budget)
            elif group != "_modules" and type(value) is Tensor:
                budget.take(value.values.size * 4)
                arrays[full] = np.array(value.values, np.float32, order="C")
                if group == "_buffers" and name in ("weight", "bias") and not full.startswith("synthesis.input."):
                    frozen.append(full)
            else:
                raise UnsafePickleError(f"{full} is a {type(value).__name__.lower()}, which {group} cannot hold")


def _options(value: Any, where: str, budget: Budget) -> dict[str, Any]:
    """A dict of plain values: text, numbers, None, lists and dicts of them; numpy numbers become Python's."""
    if type(value) is not dict:
        raise UnsafePickleError(f"{where} is a {type(value).__name__.lower()}, not a dict")
    return _Plain(where, budget).of(value, 0)


class _Plain:
    """Copies plain values. What is named twice is copied twice, and counted twice: it is written out in the end."""

    def __init__(self, where: str, budget: Budget) -> None:
        self.where, self.left, self.budget = where, _MAX_OPTIONS, budget

    def _count(self, number: int) -> None:
        self.left -= number
        self.budget.take(64 * number, number)
        if self.left < 0:
            raise UnsafePickleError(f"{self.where}: too many options (more than {_MAX_OPTIONS})")

    def of(self, value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise UnsafePickleError(f"{self.where}: options are nested more than {_MAX_DEPTH} deep")
        if value is None or type(value) in (bool, int, float):
            self._count(1)
            return value
        if type(value) is str:
            self._count(1 + len(value) // 100)
            return printable(value, 10_000)
        if isinstance(value, np.generic):
            self._count(1)
            return value.item()
        if type(value) is Array and value.values is not None:
            self._count(1 + value.values.size)
            return value.values.tolist()
        if type(value) in (list, tuple):
            self._count(1 + len(value))
            return [self.of(item, depth + 1) for item in value]
        if type(value) is dict:
            self._count(1 + len(value))
            return {printable(key, 100): self.of(item, depth + 1) for key, item in value.items()}
        raise UnsafePickleError(f"{self.where} holds a {type(value).__name__.lower()}")
