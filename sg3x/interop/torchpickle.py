"""Inert stand-ins for the globals of a network file: modules, parameters, tensors, storages, numpy values. All inert.

Everything is checked when it is made: a tensor must lie inside its storage, a storage must have the bytes it says, numpy
values must be numbers. Tensors are views of the file's own bytes; only `sg3x.interop.snapshot` copies, what it takes. What
walks over its arguments, or makes anything of their length, takes it from the file's `Budget` first.
"""

from __future__ import annotations

import io
import math
from typing import Any

import ml_dtypes
import numpy as np

from sg3x.interop.budget import Budget, UnsafePickleError
from sg3x.interop.unpickle import Interpreter, Node, Reducer

MAX_STORAGES = 50_000
_MAGIC = 0x1950A86A20F9469CFC6C
_BLOB_OPCODES = 200  # per pickle inside a storage's blob: five tiny ones
_STORAGE_TYPES: dict[str, np.dtype] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
}
_MAX_DIMENSIONS = 8
TENSOR_BYTES = 512  # what Python and numpy need for one, beside its numbers
_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_MAX_VALUES = 100_000  # of a numpy array: attributes hold sizes and cut-offs, weights are tensors


class Module(Node):
    """A network or a layer of one: the name of its class and its attributes."""

    __slots__ = ("class_name", "state")

    def __init__(self, class_name: str, state: dict[Any, Any]) -> None:
        self.class_name, self.state = class_name, state


class Storage(Node):
    """The numbers behind a tensor: a read-only view of the file's bytes."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


class Tensor(Node):
    """A strided view of a storage, read-only."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


class DType(Node):
    """A numpy number type; BUILD gives its byte order, once."""

    __slots__ = ("built", "dtype")

    def __init__(self, code: str) -> None:
        self.dtype, self.built = np.dtype(code), False

    def build(self, state: Any) -> None:
        plain = type(state) is tuple and len(state) in (8, 9) and state[2:5] == (None, None, None)
        if self.built or not plain or state[1] not in ("<", "|"):
            raise UnsafePickleError("a numpy dtype other than a little-endian number is refused")
        self.built = True


class Array(Node):
    """A small numpy array of numbers; BUILD gives its content, once."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def build(self, state: Any) -> None:
        if self.values is not None or type(state) is not tuple or len(state) != 5:
            raise UnsafePickleError("BUILD of a numpy array in another form is refused")
        _, shape, dtype, fortran, content = state
        self.values = _numpy_array(content, dtype, shape, "F" if fortran is True else "C")


class Reducers:
    """The allow-list: `table` for REDUCE, `creators` for NEWOBJ. One instance per file, as it counts."""

    def __init__(self, budget: Budget) -> None:
        self.storages, self.budget = 0, budget
        numpy = {"_reconstruct": _reconstruct, "scalar": _scalar}
        self.table: dict[str, Reducer] = {
            "torch_utils.persistence._reconstruct_persistent_obj": _module,
            "collections.OrderedDict": empty_dict,
            "torch._utils._rebuild_parameter": _parameter,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch.storage._load_from_bytes": self._storage,
            **{f"numpy.{core}.multiarray.{name}": f for core in ("core", "_core") for name, f in numpy.items()},
            **{f"numpy.{core}.numeric._frombuffer": _frombuffer for core in ("core", "_core")},
            "numpy.dtype": _dtype,
            "numpy.ndarray": refuse_call,  # only ever an argument
            "dnnlib.util.EasyDict": refuse_call,  # only ever by NEWOBJ
            "_codecs.encode": self._encode,  # bytes in protocol 2
            **{f"{module}.bytes": _empty_bytes for module in ("builtins", "__builtin__")},
            **{f"{module}.set": self._set for module in ("builtins", "__builtin__")},
        }
        self.creators: dict[str, Reducer] = {"dnnlib.util.EasyDict": empty_dict}

    def _storage(self, arguments: tuple) -> Storage:
        (blob,) = _checked("_load_from_bytes", arguments, bytes)
        self.storages += 1
        if self.storages > MAX_STORAGES:
            raise UnsafePickleError(f"more than {MAX_STORAGES} tensors")
        return Storage(read_storage(blob, self.budget))

    def _tensor(self, arguments: tuple) -> Tensor:
        self.budget.take(TENSOR_BYTES, 5)
        return rebuild_tensor(arguments)

    def _set(self, arguments: tuple) -> set:
        (items,) = _checked("set", arguments, list)
        self.budget.take(64 * len(items), len(items))
        if any(type(item) is not str for item in items):
            raise UnsafePickleError("a set of anything but text is refused")
        return set(items)

    def _encode(self, arguments: tuple) -> bytes:
        text, encoding = _checked("_codecs.encode", arguments, str, str)
        self.budget.take(len(text))
        if encoding != "latin1":
            raise UnsafePickleError("an encoding other than latin1 is refused")
        return text.encode("latin-1")


def read_storage(blob: bytes, budget: Budget) -> np.ndarray:
    """The numbers in an old-format `torch.save` stream of one storage: five tiny pickles, a count, raw bytes."""
    budget.take(len(blob), 20)
    stream = io.BytesIO(blob)
    found: list[tuple[str, str, int]] = []  # one persistent id: type, key, count
    types = dict.fromkeys(_STORAGE_TYPES, refuse_call)

    def pickle(persistent: Any = None) -> Any:
        return Interpreter(types, persistent=persistent, max_opcodes=_BLOB_OPCODES, budget=budget).run(stream)

    def storage_of(identity: Any) -> None:
        if type(identity) is not tuple or len(identity) != 6 or found:
            raise UnsafePickleError("a persistent id that does not describe a storage is refused")
        kind, type_, key, device, count, view = identity
        if (
            kind != "storage"
            or type(key) is not str
            or type(device) is not str
            or type(count) is not int
            or view is not None
        ):
            raise UnsafePickleError("a persistent id that does not describe a whole storage is refused")
        found.append((getattr(type_, "name", "?"), key, count))

    if _int(pickle()) != _MAGIC or _int(pickle()) != 1001:
        raise UnsafePickleError("a storage that is not an old-format torch stream is refused")
    system = pickle()
    if type(system) is not dict or system.get("little_endian") is not True:
        raise UnsafePickleError("a storage that is not little-endian is refused")
    pickle(storage_of)
    keys = pickle()
    if len(found) != 1 or type(keys) is not list or keys != [found[0][1]]:
        raise UnsafePickleError("a stream with other than one storage is refused")
    name, _, count = found[0]
    return _raw_numbers(blob, stream.tell(), _STORAGE_TYPES[name], count)


def _raw_numbers(blob: bytes, start: int, dtype: np.dtype, count: int) -> np.ndarray:
    """The int64 count, which must be the announced one, and exactly as many numbers."""
    rest = len(blob) - start - 8
    if rest < 0 or int.from_bytes(blob[start : start + 8], "little", signed=True) != count or count < 0:
        raise UnsafePickleError("a storage whose count is not the one announced is refused")
    if rest != count * dtype.itemsize:
        raise UnsafePickleError(f"a storage of {count} numbers has {rest} bytes, expected {count * dtype.itemsize}")
    return np.frombuffer(blob, dtype, count, start + 8)


def rebuild_tensor(arguments: tuple) -> Tensor:
    storage, offset, size, stride, _, hooks = _checked(
        "_rebuild_tensor_v2", arguments, Storage, int, tuple, tuple, bool, dict
    )
    if hooks:
        raise UnsafePickleError("a tensor with hooks is refused")
    values = storage.values
    # Lengths first: a tuple that the memo shares may be as long as the file.
    if len(size) != len(stride) or len(size) > _MAX_DIMENSIONS:
        raise UnsafePickleError("a tensor of impossible size or stride is refused")
    numbers = [offset, *size, *stride]
    if any(type(n) is not int or not 0 <= n < 2**40 for n in numbers):
        raise UnsafePickleError("a tensor of impossible size or stride is refused")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    empty = 0 in size
    # Repeating one number (stride 0) would make a tensor larger than its storage.
    if math.prod(size) > len(values) or (not empty and last >= len(values)):
        raise UnsafePickleError(f"a tensor of size {size} does not lie inside its storage of {len(values)} numbers")
    if empty:
        return Tensor(np.zeros(size, values.dtype))
    steps = [step * values.itemsize for step in stride]
    return Tensor(np.lib.stride_tricks.as_strided(values[offset:], size, steps, writeable=False))


def _parameter(arguments: tuple) -> Tensor:
    tensor, _, hooks = _checked("_rebuild_parameter", arguments, Tensor, bool, dict)
    if hooks:
        raise UnsafePickleError("a parameter with hooks is refused")
    return tensor


def _module(arguments: tuple) -> Module:
    (meta,) = _checked("_reconstruct_persistent_obj", arguments, dict)
    name, state = meta.get("class_name"), meta.get("state")
    if meta.get("type") != "class" or type(name) is not str or type(state) is not dict:
        raise UnsafePickleError("a persistent object without type 'class', class_name and state is refused")
    return Module(name, state)


def _dtype(arguments: tuple) -> DType:
    if len(arguments) != 3 or type(arguments[0]) is not str or arguments[0] not in _NUMBERS:
        raise UnsafePickleError("a numpy dtype that is not a number's is refused")
    return DType(arguments[0])


def _reconstruct(arguments: tuple) -> Array:
    if len(arguments) != 3 or getattr(arguments[0], "name", "") != "numpy.ndarray":
        raise UnsafePickleError("numpy _reconstruct of anything but an array is refused")
    return Array()


def _scalar(arguments: tuple) -> np.generic:
    dtype, content = _checked("numpy scalar", arguments, DType, bytes)
    if len(content) != dtype.dtype.itemsize:
        raise UnsafePickleError("a numpy scalar of the wrong length is refused")
    return np.frombuffer(content, dtype.dtype)[0]


def _frombuffer(arguments: tuple) -> Array:
    content, dtype, shape, order = _checked("numpy _frombuffer", arguments, bytes, DType, tuple, str)
    array = Array()
    array.values = _numpy_array(content, dtype, shape, order)
    return array


def _numpy_array(content: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    fits = type(content) is bytes and type(dtype) is DType and type(shape) is tuple and order in ("C", "F")
    if not fits or len(shape) > _MAX_DIMENSIONS or any(type(n) is not int or not 0 <= n <= _MAX_VALUES for n in shape):
        raise UnsafePickleError("a numpy array that is not of plain numbers is refused")
    if math.prod(shape) > _MAX_VALUES or math.prod(shape) * dtype.dtype.itemsize != len(content):
        raise UnsafePickleError(f"a numpy array of shape {shape} does not fit its {len(content)} bytes")
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def empty_dict(arguments: tuple) -> dict:
    if arguments:
        raise UnsafePickleError("a dict made from arguments is refused")
    return {}


def _empty_bytes(arguments: tuple) -> bytes:
    if arguments:
        raise UnsafePickleError("bytes made from arguments are refused")
    return b""


def refuse_call(_: tuple) -> Any:
    raise UnsafePickleError("a type is called; network files only mention it")


def _int(value: Any) -> int | None:
    return value if type(value) is int else None


def _checked(name: str, arguments: tuple, *types: type) -> tuple:
    if len(arguments) != len(types) or any(type(a) is not t for a, t in zip(arguments, types, strict=True)):
        got = ", ".join(type(a).__name__ for a in arguments[:8])
        raise UnsafePickleError(f"{name} with arguments ({got}) is refused")
    return arguments
