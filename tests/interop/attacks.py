"""Hand-made attacks: the bytes of pickles that ask for what no network file needs."""

import pickle
import struct

import numpy as np

from tests.interop import forge
from tests.interop.forge import Call, Name, New

P4 = b"\x80\x04"
STORAGE = Name("torch.storage", "_load_from_bytes")
PERSISTENT = Name("torch_utils.persistence", "_reconstruct_persistent_obj")


class Executed:
    """What a payload would run; `ran` says whether it did."""

    ran = False

    def __reduce__(self):
        return mark_executed, ()


def mark_executed():
    Executed.ran = True


def net(**changes):
    """A file of one bare module whose weight is a forged tensor."""
    return forge.dumps({"G_ema": forge.module("Generator", {"weight": forge.tensor(np.ones((2, 3)), **changes)})})


def state(**attributes):
    return forge.dumps({"G_ema": forge.module("Generator", **attributes)})


def nested(depth, open_, close):
    return P4 + open_ * depth + close * depth + b"."


def doubling(levels):
    """A tuple of the tuple before it, twice, and so on: 2^levels leaves for whoever walks it."""
    return P4 + b")\x94" + b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(levels))


def shared_modules(levels):
    """Modules that hold the one below twice: 2^levels of them when written out by name."""
    inner = forge.module("Layer", {"weight": forge.tensor(np.ones(4))})
    for _ in range(levels):
        inner = forge.module("Layer", modules={"a": inner, "b": inner})
    return forge.dumps({"G_ema": inner})


F8 = forge.numpy_dtype("f8")


def persistent(meta, state=None):
    return forge.dumps({"G_ema": Call(PERSISTENT, (meta,), state)})


def ndarray(state, of="ndarray"):
    return Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy", of), (0,), b"b"), state)


def average_dtype(state):
    return forge.dumps({"G_ema": Call(Name("numpy", "dtype"), ("f8", False, True), state)})


def nested_modules(depth):
    inner = forge.module("Layer")
    for _ in range(depth):
        inner = forge.module("Layer", modules={"a": inner})
    return forge.dumps({"G_ema": inner})


def nested_lists(depth):
    inner = []
    for _ in range(depth):
        inner = [inner]
    return inner


def recursive_dict():
    options = {}
    options["a"] = options
    return options


def named(module, name, arguments=(), protocol=4):
    return forge.dumps({"G_ema": Call(Name(module, name), arguments)}, protocol)


GLOBALS = [
    ("os", "system", ("echo run",)),
    ("posix", "system", ("echo run",)),
    ("builtins", "eval", ("1+1",)),
    ("builtins", "exec", ("x=1",)),
    ("builtins", "getattr", ()),
    ("builtins", "__import__", ("os",)),
    ("builtins", "bytearray", (2**40,)),
    ("subprocess", "Popen", (["true"],)),
    ("functools", "partial", ()),
    ("operator", "attrgetter", ("a",)),
    ("copyreg", "_reconstructor", ()),
    ("numpy", "fromfile", ("/etc/passwd",)),
    ("numpy", "zeros", ((2**40,),)),
    ("numpy.core.multiarray", "fromfile", ()),
    ("torch", "load", ("x",)),
    ("torch.hub", "load", ("x",)),
    ("torch._utils", "_rebuild_tensor", ()),
    ("dnnlib.util", "open_url", ("http://localhost",)),
    ("dnnlib.tflib.network", "Network", ()),
    ("collections", "OrderedDict.__init__.__globals__", ()),
    ("collections.OrderedDict", "fromkeys", ()),
    ("torch", "FloatStorage", ()),
    ("sg3x.interop.nvidia", "load_pickle", ("x",)),
]

BIG = 2**62
OPCODES = {
    "EXT1": P4 + b"\x82\x01.",
    "EXT2": P4 + b"\x83\x01\x00.",
    "EXT4": P4 + b"\x84\x01\x00\x00\x00.",
    "INST": P4 + b"(ios\nsystem\n.",
    "OBJ": P4 + b"(cos\nsystem\no.",
    "GLOBAL": b"\x80\x02cos\nsystem\n.",
    "NEWOBJ_EX": P4 + b")}\x92.",
    "PERSID": P4 + b"Pabc\n.",
    "BINPERSID at the top": P4 + b"NQ.",
    "DUP": P4 + b"}2.",
    "POP": P4 + b"}0.",
    "GET": P4 + b"g0\n.",
    "PUT far away": P4 + b"}p4000000000\n.",
    "INT of many digits": P4 + b"I" + b"9" * 100_000 + b"\n.",
    "LONG4": P4 + b"\x8b\xff\xff\xff\x7f.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
    "MARK without end": P4 + b"(" * 1000 + b".",
    "stack underflow": P4 + b"\x85.",
    "STACK_GLOBAL of numbers": P4 + b"K\x01K\x02\x93.",
    "STACK_GLOBAL of nothing": P4 + b"\x93.",
    "REDUCE of a dict": P4 + b"})R.",
    "NEWOBJ of a dict": P4 + b"})\x81.",
    "BUILD of a dict": P4 + b"}}b.",
    "BUILD of a global": P4 + b"\x8c\x05numpy\x8c\x07ndarray\x93}b.",
    "SETITEM of a tuple": P4 + b")NNs.",
    "APPEND to a dict": P4 + b"}Na.",
    "key without value": P4 + b"}(Nu.",
    "a list as a key": P4 + b"}]Ns.",
    "memo never set": P4 + b"j\xff\xff\xff\xff.",
    "frame of 2^62": P4 + b"\x95" + struct.pack("<Q", BIG) + b"N.",
    "BINBYTES8 of 2^62": P4 + b"\x8e" + struct.pack("<Q", BIG) + b"abc.",
    "BYTEARRAY8 of 2^62": b"\x80\x05\x96" + struct.pack("<Q", BIG) + b"abc.",
    "BINUNICODE8 of 2^62": P4 + b"\x8d" + struct.pack("<Q", BIG) + b"abc.",
    "BINUNICODE that is not text": P4 + b"X\x02\x00\x00\x00\xff\xfe.",
    "an unknown opcode": P4 + b"\xff.",
    "no end": P4 + b"}",
    "two values": P4 + b"NN.",
    "a memo index of 4e9": P4 + b"}r\xff\xff\xff\xff.",
    "nothing but opcodes": P4 + b"\x8f" * 600_000 + b".",
    "tuples 100,000 deep": nested(100_000, b"(", b"t"),
    "lists 100,000 deep": nested(100_000, b"]", b"a"),
    "a doubling tuple as the network": P4 + b"}\x8c\x05G_ema" + doubling(60)[2:] + b"s.",
    "a doubling tuple as a key": P4 + b"}" + doubling(60)[2:] + b"Ns.",
    "a dict inside itself": P4 + b"}\x94\x8c\x05G_emah\x00s.",
}

FILES = {
    "empty": b"",
    "text": b"hello",
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "a list": forge.dumps([1, 2]),
    "no average": forge.dumps({"G": None}),
    "average of nothing": forge.dumps({"G_ema": None}),
    "average is text": forge.dumps({"G_ema": "x"}),
    "unknown entries": forge.dumps({"G_ema": None, "extra": 1}),
    "more bytes after the end": forge.dumps({"G_ema": forge.module("Generator")}) + b"x",
    "not a class": persistent({"type": "function", "class_name": "G", "state": {}}),
    "no state": persistent({"type": "class", "class_name": "G"}),
    "state is a list": persistent({"type": "class", "class_name": "G", "state": []}),
    "two arguments": forge.dumps({"G_ema": Call(PERSISTENT, ({}, {}))}),
    "BUILD of a module": persistent({"type": "class", "class_name": "G", "state": {}}, {"class_name": "x"}),
    "hooks": state(_forward_pre_hooks={0: "x"}),
    "parameters are a list": state(_parameters=[1]),
    "a module is a number": state(_modules={"a": 1}),
    "a parameter is a module": state(_parameters={"a": forge.module("Layer")}),
    "unnamed constructor arguments": state(_init_args=(1,)),
    "options are a list": state(_init_kwargs=[1]),
    "options hold a module": state(_init_kwargs={"a": forge.module("Layer")}),
    "options are nested 50 deep": state(_init_kwargs={"a": nested_lists(50)}),
    "options inside themselves": state(_init_kwargs=recursive_dict()),
    "modules 30 deep": nested_modules(30),
    "modules shared 2^14 times": shared_modules(14),
    "offset beyond": net(offset=1),
    "offset far beyond": net(offset=2**39),
    "negative offset": net(offset=-1),
    "size beyond": net(size=(3, 3)),
    "size with stride 0": net(size=(2**20, 2**19), stride=(0, 0)),
    "huge size": net(size=(2**62,), stride=(1,)),
    "negative stride": net(stride=(-3, 1)),
    "stride beyond": net(stride=(3, 2)),
    "more strides than sizes": net(stride=(3, 1, 1)),
    "nine dimensions": net(size=(1,) * 9, stride=(1,) * 9),
    "a size of truth values": net(size=(True, 3)),
    "sizes of text": net(size=("2", 3)),
    "a tensor with hooks": net(hooks={"a": 1}),
    "count too large": net(blob=forge.blob(np.ones(6), count=7)),
    "count negative": net(blob=forge.blob(np.ones(6), count=-6)),
    "count enormous": net(blob=forge.blob(np.ones(6), count=2**62)),
    "bytes after the storage": net(blob=forge.blob(np.ones(6), tail=b"x")),
    "integers as weights": net(blob=forge.blob(np.ones(6), kind="LongStorage")),
    "a view of a storage": net(blob=forge.blob(np.ones(6), view=("k", 0, 6))),
    "an empty blob": net(blob=b""),
    "a zip in a blob": net(blob=b"PK\x03\x04"),
    "a payload in a blob": net(blob=pickle.dumps(Executed(), 2) * 5),
    "a global in a blob": net(blob=forge.dumps(Call(Name("os", "system"), ("true",)), 2) * 5),
    "an outer global in a blob": net(blob=forge.dumps(Call(STORAGE, (b"",)), 2) * 5),
    "thousands of opcodes in a blob": net(blob=b"\x80\x02" + b"}" * 1000 + b"."),
    "a storage of text": forge.dumps({"G_ema": Call(STORAGE, ("text",))}),
    "a dtype of objects": forge.dumps({"G_ema": Call(Name("numpy", "dtype"), ("O8", False, True))}),
    "a dtype made twice": forge.dumps({"G_ema": Call(Call(Name("numpy", "dtype"), ()), ())}),
    "big-endian": average_dtype((3, ">", None, None, None, -1, -1, 0)),
    "a dtype with fields": average_dtype((3, "<", None, ("a",), {}, 8, 1, 0)),
    "an array of objects": state(x=ndarray((1, (1,), "O", False, [1]))),
    "an array of another class": state(x=ndarray(None, of="dtype")),
    "an array of huge shape": state(x=ndarray((1, (2**40, 0), F8, False, b""))),
    "an array of the wrong length": state(x=ndarray((1, (3,), F8, False, b"12345678"))),
    "a scalar of the wrong length": state(x=Call(Name("numpy.core.multiarray", "scalar"), (F8, b"1"))),
    "an ndarray called": state(x=Call(Name("numpy", "ndarray"), ((2**40,),))),
    "EasyDict called": state(x=Call(forge.EASYDICT, ())),
    "OrderedDict of arguments": state(x=Call(forge.ORDERED, ([("a", 1)],))),
    "NEWOBJ of OrderedDict": state(x=New(forge.ORDERED, {})),
    "encoding other than latin1": state(x=Call(Name("_codecs", "encode"), ("a", "rot13"))),
    "bytes of a number": state(x=Call(Name("builtins", "bytes"), (2**40,))),
    "a set of lists": state(x=Call(Name("builtins", "set"), ([[1]],))),
}
