"""Random pickles: mutations, truncations and random opcodes are read or refused, by no other error."""

import pickletools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg3x.interop.snapshot import read_snapshot
from sg3x.interop.unpickle import UnsafePickleError
from tests.interop import forge
from tests.interop.attacks import P4


def read_or_refuse(path, content):
    """Either a snapshot or one UnsafePickleError; any other exception is a failure."""
    path.write_bytes(content)
    try:
        read_snapshot(path)
    except UnsafePickleError as error:
        assert str(error)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A small honest file with everything in it, and where its opcodes are."""
    arrays = {"synthesis.input.freqs": np.ones((4, 2)), "a.weight": np.ones((2, 2, 3, 3)), "a.b.bias": np.ones(3)}
    content = forge.dumps({"G_ema": forge.network("Generator", arrays, {"img_resolution": 16, "mapping_kwargs": {}})})
    file = tmp_path_factory.mktemp("fuzz") / "n.pkl"
    read_or_refuse(file, content)
    file.write_bytes(content)
    assert read_snapshot(file).generator_ema.arrays.keys() == arrays.keys()
    return file, content, [position for _, _, position in pickletools.genops(content)]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_mutations_of_an_honest_file_are_read_or_refused(honest, data):
    file, content, positions = honest
    mutated = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, len(content) - 1), st.sampled_from(positions)))
        kind = data.draw(st.sampled_from(["set", "insert", "cut", "move"]))
        if kind == "set":
            mutated[at : at + 1] = data.draw(st.binary(min_size=1, max_size=9))
        elif kind == "insert":
            mutated[at:at] = data.draw(st.binary(min_size=1, max_size=16))
        elif kind == "cut":
            del mutated[at : at + data.draw(st.integers(1, 64))]
        else:
            source = data.draw(st.sampled_from(positions))
            mutated[at:at] = content[source : source + data.draw(st.integers(1, 64))]
    read_or_refuse(file, bytes(mutated))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31))
def test_truncations_of_an_honest_file_are_refused(honest, cut):
    file, content, _ = honest
    file.write_bytes(content[: cut % len(content)])
    with pytest.raises(UnsafePickleError):
        read_snapshot(file)


PIECES = [
    b"(", b")", b"]", b"}", b"\x8f", b"N", b"\x88", b"K\x05", b"J\xff\xff\xff\xff", b"\x8c\x05G_ema", b"C\x03abc",
    b"\x85", b"\x86", b"\x87", b"t", b"a", b"e", b"s", b"u", b"\x90", b"R", b"b", b"\x81", b"\x94", b"h\x00", b"h\x01",
    b"Q", b"ccollections\nOrderedDict\n", b"cdnnlib.util\nEasyDict\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch.storage\n_load_from_bytes\n", b"\x8c\x02f8",
    b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n", b"cnumpy.core.multiarray\n_reconstruct\n", b".",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_random_opcodes_are_read_or_refused(tmp_path_factory, pieces):
    file = tmp_path_factory.getbasetemp() / "random.pkl"
    read_or_refuse(file, P4 + b"".join(pieces) + b".")
