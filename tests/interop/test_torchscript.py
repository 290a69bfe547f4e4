"""TorchScript files are read without running them: what is hostile or damaged is one error that says what. No torch needed."""

import io
import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sg3x.interop.torchscript import Module, TorchScriptError, read_torchscript, tensors_of


def glob(module: str, name: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def ints(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + glob("torch", kind) + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(key: str, count: int, size: tuple, stride: tuple, offset: int = 0, kind: str = "FloatStorage") -> bytes:
    hooks = glob("collections", "OrderedDict") + b")R"
    arguments = storage(key, count, kind) + number(offset) + ints(*size) + ints(*stride) + b"\x89" + hooks
    return glob("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def module(**attributes: bytes) -> bytes:
    items = b"".join(text(key) + value for key, value in attributes.items())
    return glob("__torch__.some.___torch_mangle_3", "Layer") + b")\x81}(" + items + b"ub"


def archive(path: Path, description: bytes, members: dict[str, bytes] | None = None, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + description + b".")
        for name, content in (members or {}).items():
            file.writestr(f"archive/{name}", content)
    return path


NUMBERS = np.arange(12, dtype=np.float32)
DATA = {"data/0": NUMBERS.tobytes()}


def test_tensors_by_name_the_kernel_first(tmp_path):
    inner = module(bias=tensor("0", 12, (2,), (1,), 10), weight=tensor("0", 12, (2, 3), (3, 1)), training=b"\x89")
    typed = glob("torch.jit._pickle", "build_intlist") + b"](" + number(1) + number(2) + b"e\x85R"
    root = read_torchscript(archive(tmp_path / "a.pt", module(layer=inner, sizes=typed, none=b"N"), DATA))
    found = dict(tensors_of(root))
    assert list(found) == ["layer.weight", "layer.bias"]
    np.testing.assert_array_equal(found["layer.weight"], NUMBERS[:6].reshape(2, 3))
    np.testing.assert_array_equal(found["layer.bias"], [10, 11])
    assert isinstance(root, Module) and root.attributes["sizes"] == [1, 2]


class Hostile:
    def __reduce__(self):
        return (pytest.fail, ("the file's code ran",))


REFUSED = {
    "code": (pickle.dumps(Hostile())[2:-1], "is refused"),
    "system": (glob("os", "system") + text("true") + b"\x85R", "global 'os.system' is refused"),
    "builtins": (glob("builtins", "eval") + text("1") + b"\x85R", "global 'builtins.eval' is refused"),
    "an attribute of a class": (glob("__torch__.a", "b.c") + b")\x81", "is refused"),
    "a module from arguments": (glob("__torch__.a", "B") + number(1) + b"\x85\x81}b", "made from arguments"),
    "a module twice built": (module(a=b"N") + b"}b", "one dict of attributes"),
    "a module's state is a list": (glob("__torch__.a", "B") + b")\x81]b", "one dict of attributes"),
    "a class is called": (glob("__torch__.a", "B") + b")R", "REDUCE of '__torch__.a.B' is refused"),
    "a storage type is called": (glob("torch", "FloatStorage") + b")R", "a type is called"),
    "no module": (b"]", "it holds a list, not a module"),
    "nothing": (b"", "damaged"),
    "outside the storage": (module(a=tensor("0", 12, (4, 3), (3, 1), 1)), "does not lie inside its storage"),
    "stride 0": (module(a=tensor("0", 12, (1 << 20,), (0,))), "does not lie inside its storage"),
    "negative": (module(a=tensor("0", 12, (-1,), (1,))), "impossible size"),
    "sizes and strides": (module(a=tensor("0", 12, (2,), (1, 1))), "impossible size"),
    "more announced than there": (module(a=tensor("0", 13, (2,), (1,))), "48 bytes, announced are 13"),
    "negative count": (module(a=tensor("0", -1, (0,), (1,))), "announced are -1"),
    "announced in two ways": (
        module(a=tensor("0", 12, (2,), (1,)), b=tensor("0", 6, (2,), (1,), kind="DoubleStorage")),
        "announced in two ways",
    ),
    "another storage": (module(a=tensor("0", 12, (2,), (1,), kind="UntypedStorage")), "is refused"),
    "a missing member": (module(a=tensor("9", 12, (2,), (1,))), "damaged"),
    "a member elsewhere": (module(a=tensor("../data.pkl", 12, (2,), (1,))), "damaged"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_network_does_not_need_is_refused(what, tmp_path):
    description, message = REFUSED[what]
    with pytest.raises(TorchScriptError, match=message) as refused:
        read_torchscript(archive(tmp_path / "hostile.pt", description, DATA))
    assert str(tmp_path / "hostile.pt") in str(refused.value)


def test_modules_without_end_and_deep_ones_are_refused(tmp_path):
    itself = glob("__torch__.a", "B") + b")\x81q\x01}(" + text("me") + b"h\x01ub"
    with pytest.raises(TorchScriptError, match="'me' stands in two places, or inside itself"):
        list(tensors_of(read_torchscript(archive(tmp_path / "a.pt", itself))))
    deep = module(a=b"N")
    for _ in range(5000):
        deep = module(a=deep)
    root = read_torchscript(archive(tmp_path / "b.pt", deep))  # a loop reads it, however deep
    with pytest.raises(TorchScriptError, match="nested more than 32 deep"):
        list(tensors_of(root))


def test_compressed_members_are_refused_before_they_grow(tmp_path):
    bomb = archive(tmp_path / "bomb.pt", module(a=b"N") + b"0" * 0, {"data/0": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(TorchScriptError, match=r"member 'data\.pkl' is compressed"):
        read_torchscript(bomb)


def test_every_cut_and_every_flipped_byte_is_one_error_or_the_same_tensors(tmp_path):
    good = archive(tmp_path / "good.pt", module(a=tensor("0", 12, (4, 3), (3, 1))), DATA).read_bytes()
    path = tmp_path / "bad.pt"
    rng = np.random.RandomState(0)
    broken = [good[:end] for end in range(0, len(good), 7)]
    for _ in range(300):
        content = bytearray(good)
        content[rng.randint(len(good))] ^= 1 << rng.randint(8)
        broken.append(bytes(content))
    refused = 0
    for content in broken:
        path.write_bytes(content)
        try:
            found = dict(tensors_of(read_torchscript(path)))
        except TorchScriptError:
            refused += 1
        else:  # a time stamp, a permission: nothing that matters
            np.testing.assert_array_equal(found["a"], NUMBERS.reshape(4, 3))
    assert refused > 150


def test_what_is_no_zip_or_has_no_description(tmp_path):
    path = tmp_path / "file.pt"
    path.write_bytes(b"not a zip")
    with pytest.raises(TorchScriptError, match="is no TorchScript file, or damaged"):
        read_torchscript(path)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("other/file", b"")
    path.write_bytes(content.getvalue())
    with pytest.raises(TorchScriptError, match=r"0 members \*/data\.pkl"):
        read_torchscript(path)


def test_members_that_overlap_or_share_a_name_are_refused(tmp_path):
    numbers = {f"data/{i}": NUMBERS.tobytes() for i in range(3)}
    good = archive(tmp_path / "a.pt", module(a=tensor("0", 12, (2,), (1,))), numbers).read_bytes()
    listed = [m.start() for m in re.finditer(b"PK\x01\x02", good)]
    content = bytearray(good)
    content[listed[2] + 42 : listed[2] + 46] = good[listed[1] + 42 : listed[1] + 46]  # two members begin at one place
    (tmp_path / "b.pt").write_bytes(content)
    with pytest.raises(TorchScriptError, match="overlaps another"):
        read_torchscript(tmp_path / "b.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(tmp_path / "a.pt", "a") as file:
            file.writestr("archive/data/0", b"x")
    with pytest.raises(TorchScriptError, match="two members have one name"):
        read_torchscript(tmp_path / "a.pt")


def test_keys_that_all_collide_are_refused_at_once(tmp_path):
    def long(value):
        return b"\x8a\x0a" + value.to_bytes(10, "little")

    items = b"".join(long(i * (2**61 - 1)) + b"N" for i in range(20_000))
    with pytest.raises(TorchScriptError, match="steps"):
        read_torchscript(archive(tmp_path / "a.pt", module(a=b"}(" + items + b"u")))


def test_one_tensor_under_many_names_is_refused(tmp_path):
    again = {f"n{i}": b"h\x09" for i in range(20)}
    described = module(a=tensor("0", 12, (4, 3), (3, 1)) + b"q\x09", **again)
    with pytest.raises(TorchScriptError, match="stands in many places"):
        list(tensors_of(read_torchscript(archive(tmp_path / "a.pt", described, DATA))))
