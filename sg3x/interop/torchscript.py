"""Weights out of a TorchScript file, without torch and without running any code in it.

The file is a zip of stored (not compressed) members: `data.pkl` describes the module tree, `data/N` are the tensors' bytes.
The description is a pickle; it is read by the project's own interpreter of pickles (`sg3x.interop.unpickle`), against a list
of the few names that a saved module needs: modules, tensors, storages, lists of numbers. Whatever else a file names is refused
when it is named; classes `__torch__.…` are only names here, their code in the zip is not looked at.

Bounds: members are stored and may not overlap, so what is read is no more than the file; one `Budget` pays for the
description and for every storage and tensor; a tensor is a view inside its storage; who walks the modules (`tensors_of`)
limits depth, entries and bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.files.printable import printable
from sg3x.interop.budget import Budget
from sg3x.interop.torchpickle import TENSOR_BYTES, Storage, Tensor, empty_dict, rebuild_tensor, refuse_call
from sg3x.interop.unpickle import Interpreter, Node, Reducer, UnsafePickleError

_DTYPES: dict[str, Any] = {
    "torch.FloatStorage": np.dtype("<f4"), "torch.DoubleStorage": np.dtype("<f8"), "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"), "torch.IntStorage": np.dtype("<i4"), "torch.BoolStorage": np.dtype("?"),
}  # fmt: skip
_LARGEST_DESCRIPTION = 1 << 26  # bytes
_DEEPEST = 32  # modules inside modules
_LARGEST_DIRECTORY = 1 << 23  # bytes of the zip's list of members: 70,000 of them
_MOST_ENTRIES = 200_000  # of all modules
_REPEATS = 4  # how often the bytes of a tensor may be named, on average


class TorchScriptError(ValueError):
    """The file is no TorchScript of plain modules and tensors; the message says why."""


class Module(Node):
    """An inert module: its attributes in the file's order, tensors as arrays, no behaviour."""

    __slots__ = ("attributes",)

    def __init__(self) -> None:
        self.attributes: dict[Any, Any] | None = None

    def build(self, state: Any) -> None:
        if self.attributes is not None or type(state) is not dict:
            raise UnsafePickleError("a module's state that is not one dict of attributes is refused")
        self.attributes = state


def read_torchscript(path: str | Path) -> Module:
    """The module tree of a TorchScript file.

    Raises:
        TorchScriptError: if it is no such file, is damaged, or asks for anything but tensors and modules.
    """
    try:
        with _Bounded(path) as content, zipfile.ZipFile(content) as file:
            content.largest = None
            found = _root(_Archive(file), Budget(Path(path).stat().st_size))
    except UnsafePickleError as error:
        raise TorchScriptError(f"{path}: {error}") from error
    except (
        zipfile.BadZipFile,
        struct.error,
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        MemoryError,
        RecursionError,
    ) as error:
        raise TorchScriptError(f"{path} is no TorchScript file, or damaged: {printable(error)}") from error
    return found


def tensors_of(module: Module) -> Iterator[tuple[str, np.ndarray]]:
    """All tensors below a module by dotted name, depth first; a module's own kernel before its own vectors.

    Raises:
        TorchScriptError: modules are nested more than 32 deep, or one stands in two places (or inside itself).
    """
    yield from _Walk().below(module, "", 0)


class _Walk:
    """One walk over modules, and what it has come by."""

    def __init__(self) -> None:
        self.modules: set[int] = set()
        self.tensors: set[int] = set()
        self.entries = self.distinct = self.named = 0

    def below(self, module: Module, prefix: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
        if depth > _DEEPEST:
            raise TorchScriptError(f"modules are nested more than {_DEEPEST} deep")
        if id(module) in self.modules:
            where = printable(prefix.rstrip("."), 200)
            raise TorchScriptError(f"the module {where!r} stands in two places, or inside itself")
        self.modules.add(id(module))
        attributes = module.attributes or {}
        self.entries += len(attributes)
        if self.entries > _MOST_ENTRIES:
            raise TorchScriptError(f"the modules have more than {_MOST_ENTRIES} attributes")
        items = [(f"{prefix}{key}"[:500], v) for key, v in attributes.items() if type(v) in (Tensor, Module)]
        own = [(name, value) for name, value in items if type(value) is Tensor]
        for name, value in sorted(own, key=lambda item: -item[1].values.ndim):
            self._count(name, value)
            yield name, value.values
        for name, value in items:
            if type(value) is Module:
                yield from self.below(value, f"{name}.", depth + 1)

    def _count(self, name: str, tensor: Tensor) -> None:
        size = tensor.values.nbytes
        self.named += size
        if id(tensor) not in self.tensors:
            self.tensors.add(id(tensor))
            self.distinct += size
        if self.named > _REPEATS * self.distinct:
            raise TorchScriptError(f"one tensor stands in many places, {printable(name, 200)!r} among them")


class _Bounded(io.FileIO):
    """A file that refuses reads of more than `largest` bytes: zipfile takes the size of its list from the file itself."""

    largest: int | None = _LARGEST_DIRECTORY

    def read(self, size: int | None = -1) -> bytes:
        wanted = max(self.seek(0, io.SEEK_CUR), 0)
        if self.largest is not None:
            end = Path(self.name).stat().st_size
            asked = end - wanted if size is None or size < 0 else min(size, end - wanted)
            if asked > self.largest:
                raise UnsafePickleError(f"a list of members of {asked} bytes is refused: {self.largest} are allowed")
        return super().read(-1 if size is None else size)


class _Archive:
    """The members below the folder that the file's names begin with."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        names = [n for n in file.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")]
        if len(names) != 1:
            raise UnsafePickleError(f"it has {len(names)} members */data.pkl, a TorchScript file has one")
        _check_apart(file)
        self._file, self._folder = file, names[0].removesuffix("data.pkl")

    def read(self, name: str, largest: int | None = None) -> bytes:
        info = self._file.getinfo(self._folder + name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UnsafePickleError(f"member {name[:100]!r} is compressed: TorchScript files store theirs as they are")
        if largest is not None and info.file_size > largest:
            raise UnsafePickleError(f"member {name[:100]!r} has {info.file_size} bytes, allowed are {largest}")
        return self._file.read(info)


def _check_apart(file: zipfile.ZipFile) -> None:
    """Members have names of their own and lie one behind the other: what is read is then no more than the file."""
    members = sorted(file.infolist(), key=lambda info: info.header_offset)
    if len({info.filename for info in members}) != len(members):
        raise UnsafePickleError("two members have one name")
    ends = [info.header_offset for info in members[1:]] + [file.start_dir]
    for info, end in zip(members, ends, strict=True):
        # A local header has 30 bytes, then the name.
        if info.header_offset < 0 or info.header_offset + 30 + info.compress_size > end:
            raise UnsafePickleError(f"member {printable(info.filename, 100)!r} overlaps another")


def _root(archive: _Archive, budget: Budget) -> Module:
    stream = io.BytesIO(archive.read("data.pkl", _LARGEST_DESCRIPTION))
    storages: dict[str, tuple[str, Storage]] = {}

    def storage_of(identity: Any) -> Storage:
        if type(identity) is not tuple or len(identity) != 5 or [type(x) for x in identity[2:]] != [str, str, int]:
            raise UnsafePickleError("a persistent id that does not describe a storage is refused")
        kind, type_, key, _, count = identity
        name = getattr(type_, "name", "")
        if kind != "storage" or name not in _DTYPES:
            raise UnsafePickleError("a persistent id that does not describe a storage of numbers is refused")
        if key not in storages:
            content = archive.read(f"data/{key}")
            budget.take(len(content))
            if len(content) != count * _DTYPES[name].itemsize:
                raise UnsafePickleError(
                    f"storage {key[:100]!r} has {len(content)} bytes, announced are {count} numbers"
                )
            storages[key] = name, Storage(np.frombuffer(content, _DTYPES[name]))
        if storages[key][0] != name or len(storages[key][1].values) != count:
            raise UnsafePickleError(f"storage {key[:100]!r} is announced in two ways")
        return storages[key][1]

    def tensor(arguments: tuple) -> Tensor:
        budget.take(TENSOR_BYTES, 5)
        made = rebuild_tensor(arguments)
        budget.take(made.values.nbytes, 0)
        return made

    reducers = {**_REDUCERS, "torch._utils._rebuild_tensor_v2": tensor}
    found = Interpreter(reducers, _Classes(), storage_of, budget=budget).run(stream)
    if type(found) is not Module:
        raise UnsafePickleError(f"it holds a {type(found).__name__.lower()}, not a module")
    return found


class _Classes(Mapping[str, Reducer]):
    """Every class of the file itself, `__torch__.…`, is an inert module."""

    def __getitem__(self, name: str) -> Reducer:
        if name not in self:
            raise KeyError(name)
        return _module

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.startswith("__torch__.")

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _module(arguments: tuple) -> Module:
    if arguments:
        raise UnsafePickleError("a module made from arguments is refused")
    return Module()


def _first(kind: type) -> Callable[[tuple], Any]:
    """Lists with a type beside them, and values with a tag: the list, the value."""

    def take(arguments: tuple) -> Any:
        if not arguments or len(arguments) > 2 or (kind is list and type(arguments[0]) is not list):
            raise UnsafePickleError("a typed value in another form is refused")
        return arguments[0]

    return take


_REDUCERS: dict[str, Reducer] = {
    "collections.OrderedDict": empty_dict,
    **{f"torch.jit._pickle.build_{kind}list": _first(list) for kind in ("int", "float", "double", "bool", "tensor")},
    "torch.jit._pickle.restore_type_tag": _first(object),
    **dict.fromkeys(_DTYPES, refuse_call),  # only ever in a persistent id
}
