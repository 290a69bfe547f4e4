"""Weights out of a TorchScript file, without torch and without running any code in it.

The file is a zip: `data.pkl` describes the module tree, `data/N` are the tensors' bytes. The description is a pickle; it is
read by an unpickler that knows tensors, lists and inert modules, and refuses every other name: nothing of the file's choice
is imported or called.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES: dict[str, Any] = {
    "FloatStorage": np.dtype("<f4"), "DoubleStorage": np.dtype("<f8"), "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"), "IntStorage": np.dtype("<i4"), "BoolStorage": np.dtype("?"),
}  # fmt: skip
_LARGEST = 1 << 30  # bytes of one tensor, and of the description


class TorchScriptError(ValueError):
    """The file is no TorchScript of plain modules and tensors; the message says why."""


class Module:
    """What stands for a module: its attributes in the file's order, tensors as arrays, no behaviour."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise TorchScriptError(f"a module's state is a {type(state).__name__}; allowed is a dict of attributes")
        self.attributes = state


def read_torchscript(path: str | Path) -> Module:
    """The module tree of a TorchScript file.

    Raises:
        TorchScriptError: if it is no such file, is damaged, or asks for anything but tensors and modules.
    """
    try:
        with zipfile.ZipFile(path) as file:
            name = next((n for n in file.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")), None)
            if name is None or file.getinfo(name).file_size > _LARGEST:
                raise TorchScriptError(f"{path} has no data.pkl of a size that can be: it is no TorchScript file")
            with file.open(name) as description:
                found = _Reader(description, file, name.removesuffix("data.pkl")).load()
    except TorchScriptError:
        raise
    except (zipfile.BadZipFile, pickle.UnpicklingError, OSError, EOFError, KeyError, IndexError, TypeError,
            AttributeError, ValueError, MemoryError, RecursionError) as error:  # fmt: skip
        raise TorchScriptError(f"{path} is no TorchScript file, or damaged: {error}") from error
    if not isinstance(found, Module):
        raise TorchScriptError(f"{path} holds a {type(found).__name__}, not a module")
    return found


class _Reader(pickle.Unpickler):
    """Knows the few names that a saved module is described with; each stands for something inert."""

    def __init__(self, description: Any, file: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(description)
        self._file, self._prefix = file, prefix
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return Module
        if module == "torch" and name in _DTYPES:
            return _StorageType(name)
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch.jit._pickle", "build_intlist"): list,
            ("torch.jit._pickle", "build_floatlist"): list,
            ("torch.jit._pickle", "build_boollist"): list,
            ("torch.jit._pickle", "build_tensorlist"): list,
            ("torch.jit._pickle", "restore_type_tag"): _first,
        }
        if (module, name) not in known:
            raise TorchScriptError(f"the file asks for {module}.{name}; allowed are tensors and modules")
        return known[module, name]

    def persistent_load(self, identity: Any) -> np.ndarray:
        kind, storage_type, key, _, count = identity
        if kind != "storage" or not isinstance(storage_type, _StorageType) or not isinstance(key, str):
            raise TorchScriptError(f"the file refers to {kind!r}; allowed are storages of tensors")
        if key not in self._storages:
            info = self._file.getinfo(f"{self._prefix}data/{key}")
            if info.file_size > _LARGEST:
                raise TorchScriptError(f"a tensor has {info.file_size} bytes; allowed are {_LARGEST}")
            content = np.frombuffer(self._file.read(info), _DTYPES[storage_type.name])
            if len(content) != count:
                raise TorchScriptError(f"storage {key} has {len(content)} values, {count} are announced")
            self._storages[key] = content
        return self._storages[key]


class _StorageType:
    def __init__(self, name: str) -> None:
        self.name = name


def _first(value: Any, *_: Any) -> Any:
    return value


def _rebuild(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    """The array of a tensor; refuses what would reach outside its storage."""
    if not isinstance(storage, np.ndarray) or len(size) != len(stride) or min([offset, *size, *stride], default=0) < 0:
        raise TorchScriptError(f"a tensor has size {size}, stride {stride}, offset {offset}")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count and (last >= len(storage) or count > len(storage)):
        raise TorchScriptError(f"a tensor of size {size} reaches outside its storage of {len(storage)} values")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy() if count else np.zeros(size)
