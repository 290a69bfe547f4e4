"""Small pickles that ask for much: one part named again and again, keys that collide, lengths that are walked over."""

import numpy as np

from tests.interop import forge
from tests.interop.attacks import P4
from tests.interop.forge import Call, Name

COLLIDING = 2**61 - 1  # every multiple hashes to 0


def memo(number):
    return b"j" + number.to_bytes(4, "little")


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def integer(value):
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def again(part, use, times):
    """A list of what `use` makes of one memoised part, `times` times. `use` is opcodes with {} for the part."""
    before, after = use
    return P4 + part + b"\x94" + b"](" + (before + memo(0) + after) * times + b"e."


def reduce(module, name, extra=b""):
    return f"c{module}\n{name}\n".encode(), extra + b"R"


def encode_again():
    before, _ = reduce("_codecs", "encode")
    return again(text("x" * 2_000_000), (before, text("latin1") + b"\x86R"), 2000)


def set_again():
    before, _ = reduce("builtins", "set")
    items = b"](" + b"".join(text(str(i)) for i in range(50_000)) + b"e"
    return again(items, (before, b"\x85R"), 2000)


def storage_again():
    before, _ = reduce("torch.storage", "_load_from_bytes")
    content = forge.blob(np.zeros(500_000))
    return again(b"B" + len(content).to_bytes(4, "little") + content, (before, b"\x85R"), 2000)


def sizes_again():
    """A tuple of 100,000 numbers as the size and stride of 5,000 tensors."""
    size = tuple(range(100_000))
    storage = Call(Name("torch.storage", "_load_from_bytes"), (forge.blob(np.zeros(1)),))
    tensors = [
        Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, 0, size, size, False, forge.ordered()))
        for _ in range(5000)
    ]
    return forge.dumps({"G_ema": forge.module("Generator"), "extra": tensors})


def array_again():
    array = forge.numpy_array(np.zeros(90_000))
    return forge.dumps({"G_ema": forge.module("Generator", _init_args=(), _init_kwargs={"a": [array] * 9000})})


def text_again():
    long = "x" * 1_000_000
    return forge.dumps({"G_ema": forge.module("Generator", _init_args=(), _init_kwargs={"a": [long] * 9000})})


def training_set_again():
    array = forge.numpy_array(np.zeros(90_000))
    return forge.dumps({"G_ema": forge.module("Generator", _init_args=(), _init_kwargs={}),
                        "training_set_kwargs": {"a": [array] * 9000}})  # fmt: skip


def colliding(open_, close):
    keys = b"".join(integer(i * COLLIDING) + (b"N" if close == b"u" else b"") for i in range(50_000))
    return P4 + open_ + b"(" + keys + close + b"."


def colliding_one_by_one():
    return P4 + b"}" + b"".join(integer(i * COLLIDING) + b"Ns" for i in range(50_000)) + b"."


def colliding_memo():
    """Memo indices whose low bits are equal."""
    return P4 + b"}" + b"".join(b"r" + (i << 16).to_bytes(4, "little") for i in range(60_000)) + b"."


def equal_long_keys():
    """Two equal texts that are not the same object, as keys of one dict in turns: each comparison walks over both."""
    pair = text("x" * 1_000_000)
    turns = (memo(0) + b"Ns" + memo(1) + b"Ns") * 60_000
    return P4 + pair + b"\x94" + pair + b"\x94" + b"}" + turns + b"."


def state_again():
    """One module state of 50,000 attributes, in 2,000 modules."""
    state = {f"k{i}": None for i in range(50_000)} | {"_parameters": {}, "_buffers": {}, "_modules": {}}
    meta = {"type": "class", "class_name": "Layer", "state": state}
    layers = [Call(Name("torch_utils.persistence", "_reconstruct_persistent_obj"), (dict(meta),)) for _ in range(2000)]
    return forge.dumps({"G_ema": forge.module("Generator", modules={f"m{i}": x for i, x in enumerate(layers)})})


def members_again():
    """One dict of 50,000 absent parameters, in 2,000 modules."""
    absent = {f"k{i}": None for i in range(50_000)}
    layers = [forge.module("Layer", _parameters=absent) for _ in range(2000)]
    return forge.dumps({"G_ema": forge.module("Generator", modules={f"m{i}": x for i, x in enumerate(layers)})})


def tensor_again():
    weight = forge.tensor(np.zeros(1_000_000))
    return forge.dumps({"G_ema": forge.module("Generator", {f"w{i}": weight for i in range(5000)})})


def parameters_again():
    """The average is small; a network for training alone is not."""
    return forge.dumps({"G_ema": forge.module("Generator", _init_args=(), _init_kwargs={}),
                        "D": forge.module("D", {f"w{i}": WEIGHT for i in range(5000)})})  # fmt: skip


WEIGHT = forge.tensor(np.zeros(1_000_000))

COSTLY = {
    "_codecs.encode of one text": encode_again,
    "a set of one list": set_again,
    "_load_from_bytes of one blob": storage_again,
    "one long size of many tensors": sizes_again,
    "one array in the options": array_again,
    "one text in the options": text_again,
    "a dict of colliding keys": lambda: colliding(b"}", b"u"),
    "a set of colliding keys": lambda: colliding(b"\x8f", b"\x90"),
    "colliding keys, one by one": colliding_one_by_one,
    "colliding memo indices": colliding_memo,
    "equal long keys": equal_long_keys,
    "one state of many modules": state_again,
    "one dict of parameters of many modules": members_again,
    "one tensor under many names": tensor_again,
    "one tensor under many names of D": parameters_again,
}
