"""Makes pickles as the reference's training loop writes them, and ones that no honest program would: for tests only."""

import io
import pickle
import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True)
class Name:
    """A global, written but never imported."""

    module: str
    name: str


@dataclass
class Call:
    """REDUCE of a global, and BUILD when there is a state."""

    function: Any
    arguments: tuple
    state: Any = None


@dataclass
class New:
    """NEWOBJ of a class without arguments, with items as a dict."""

    function: Name
    items: dict


@dataclass
class Built:
    """A NEWOBJ that BUILD gives its state."""

    new: New
    state: Any


@dataclass(frozen=True)
class Persistent:
    """A persistent id."""

    identity: Any


class Forger(pickle._Pickler):
    """Python's own pickler, taught the classes above."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_name(self, name):
        if self.proto >= 4:
            self.save(name.module)
            self.save(name.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    def save_call(self, call):
        self.save(call.function)
        self.save(call.arguments)
        self.write(pickle.REDUCE)
        self.memoize(call)
        if call.state is not None:
            self.save(call.state)
            self.write(pickle.BUILD)

    def save_new(self, new):
        self.save(new.function)
        self.save(())
        self.write(pickle.NEWOBJ)
        self.memoize(new)
        self._batch_setitems(new.items.items())

    def save_built(self, built):
        self.save(built.new.function)
        self.save(())
        self.write(pickle.NEWOBJ)
        self.memoize(built)
        self.save(built.state)
        self.write(pickle.BUILD)

    def persistent_id(self, value):
        return value.identity if isinstance(value, Persistent) else None

    dispatch[Name], dispatch[Call], dispatch[New] = save_name, save_call, save_new
    dispatch[Built] = save_built


def dumps(value, protocol=4):
    file = io.BytesIO()
    Forger(file, protocol).dump(value)
    return file.getvalue()


ORDERED = Name("collections", "OrderedDict")
EASYDICT = Name("dnnlib.util", "EasyDict")


def ordered(items=()):
    """An OrderedDict as a REDUCE; items would follow as SETITEMS, which plain dicts write the same way."""
    return dict(items) if items else Call(ORDERED, ())


def blob(values, *, count=None, kind="FloatStorage", key="7", tail=b"", device="cpu", view=None):
    """A storage's torch stream."""
    values = np.ascontiguousarray(values, np.float32).reshape(-1)
    count = len(values) if count is None else count
    parts = [
        dumps(0x1950A86A20F9469CFC6C, 2),
        dumps(1001, 2),
        dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2),
        dumps(Persistent(("storage", Name("torch", kind), key, device, count, view)), 2),
        dumps([key], 2),
        struct.pack("<q", count),
        values.tobytes(),
    ]
    return b"".join(parts) + tail


def tensor(values, *, channels_last=False, **changes):
    """_rebuild_tensor_v2; `changes` replace offset, size, stride, blob or hooks."""
    values = np.asarray(values, np.float32)
    memory = values.transpose(0, 2, 3, 1) if channels_last and values.ndim == 4 else values
    content = np.array(memory, order="C")  # 0-d stays 0-d
    strides = np.array(content.strides, int) // 4
    if channels_last and values.ndim == 4:
        strides = strides[[0, 3, 1, 2]]
    given = {"offset": 0, "size": values.shape, "stride": tuple(int(s) for s in strides), "hooks": ordered()}
    given |= {"blob": blob(content), **changes}
    storage = Call(Name("torch.storage", "_load_from_bytes"), (given["blob"],))
    arguments = (storage, given["offset"], tuple(given["size"]), given["stride"], False, given["hooks"])
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), arguments)


def parameter(values, **changes):
    return Call(Name("torch._utils", "_rebuild_parameter"), (tensor(values, **changes), False, ordered()))


def module(class_name, parameters=(), buffers=(), modules=(), **attributes):
    state = {
        "training": False,
        "_parameters": ordered(parameters),
        "_buffers": ordered(buffers),
        "_non_persistent_buffers_set": set(),
        "_forward_hooks": ordered(),
        "_modules": ordered(modules),
        **attributes,
    }
    meta = {"type": "class", "version": 6, "module_src": "raise SystemExit('run!')\n", "class_name": class_name}
    return Call(Name("torch_utils.persistence", "_reconstruct_persistent_obj"), ({**meta, "state": state},))


BUFFERS = ("filter", "freqs", "phases", "transform", "magnitude_ema", "w_avg")


def nested(flat):
    """{"a.b": x} -> {"a": {"b": x}}."""
    tree = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return tree


def network(class_name, arrays, options, frozen=()):
    """A whole network from a flat state dict, modules nested by the dots of the names."""

    def build(name, content, prefix, **attributes):
        leaves = {k: v for k, v in content.items() if not isinstance(v, dict)}
        is_buffer = {k: k.endswith(BUFFERS) or prefix + k in frozen for k in leaves}
        parameters = {k: parameter(v, channels_last=True) for k, v in leaves.items() if not is_buffer[k]}
        buffers = {k: tensor(v) for k, v in leaves.items() if is_buffer[k]} | {"absent_filter": None}
        inner = {k: build("Layer", v, f"{prefix}{k}.") for k, v in content.items() if isinstance(v, dict)}
        size = np.array([36, 36])
        return module(name, parameters, buffers, inner, size=numpy_array(size), rate=numpy_scalar(0.5), **attributes)

    return build(class_name, nested(arrays), "", _init_args=(), _init_kwargs=New(EASYDICT, options))


def numpy_dtype(code):
    order = "|" if code[1:] == "1" else "<"
    return Call(Name("numpy", "dtype"), (code, False, True), (3, order, None, None, None, -1, -1, 0))


def numpy_array(values, core="numpy.core"):
    call = (Name("numpy", "ndarray"), (0,), b"b")
    state = (1, values.shape, numpy_dtype(values.dtype.str[1:]), False, values.tobytes())
    return Call(Name(f"{core}.multiarray", "_reconstruct"), call, state)


def numpy_scalar(value, core="numpy.core"):
    return Call(Name(f"{core}.multiarray", "scalar"), (numpy_dtype("f8"), struct.pack("<d", value)))


def snapshot(generator, discriminator, protocol=4, average=None, **more):
    content = {"G": generator, "D": discriminator, "G_ema": average or generator, "augment_pipe": None}
    return dumps({**content, "training_set_kwargs": {"use_labels": True, "path": "x.zip"}, **more}, protocol)
