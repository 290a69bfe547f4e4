"""What people give in place of a snapshot is named, and what drawing does not need is left out with a note."""

import numpy as np
import pytest

from sg3x.interop.filekind import other_kind
from sg3x.interop.snapshot import read_snapshot
from sg3x.interop.unpickle import UnsafePickleError
from sg3x.loading import kind_of
from tests.interop import forge
from tests.interop.forge import Call, Name

KINDS = {
    b"": "an empty file",
    b"\n <!DOCTYPE html><html>": "an HTML page",
    b"<?xml version='1.0'?>": "an XML page",
    b"version https://git-lfs.github.com/spec/v1\noid": "a Git LFS pointer",
    b"outs:\n- md5: 1": "a DVC pointer",
    b"\x1f\x8b\x08": "a gzip file",
    b"PK\x03\x04": "a zip archive",
    b"\x89HDF\r\n": "an HDF5 file",
    b'{"generator": {}}': "a JSON file",
    b"\x10\0\0\0\0\0\0\0{}": "a safetensors file",
    b"hello": "not a pickle",
}


@pytest.mark.parametrize("head", KINDS, ids=KINDS.values())
def test_other_kinds_of_files_are_named(tmp_path, head):
    (tmp_path / "n.pkl").write_bytes(head)
    with pytest.raises(UnsafePickleError, match=KINDS[head]):
        read_snapshot(tmp_path / "n.pkl")


def test_a_pickle_may_be_one():
    assert other_kind(b"\x80\x04}.") is None


def test_folders_addresses_and_files_of_tensorflow_are_named(tmp_path):
    with pytest.raises(UnsafePickleError, match="this is a folder: give the .pkl file"):
        read_snapshot(tmp_path)
    for address in ("https://example.org/n.pkl", "s3://bucket/n.pkl"):
        with pytest.raises(ValueError, match="is a URL: download it first"):
            kind_of(address)
    (tmp_path / "tf.pkl").write_bytes(forge.dumps((Call(Name("dnnlib.tflib.network", "Network"), ()),) * 3))
    with pytest.raises(UnsafePickleError, match="TensorFlow file.*convert it with legacy.py"):
        read_snapshot(tmp_path / "tf.pkl")


def average(**more):
    arrays = {"synthesis.input.freqs": np.ones((4, 2))}
    network = forge.network("Generator", arrays, {"img_resolution": 16})
    return forge.dumps({"G_ema": network, **more})


@pytest.mark.parametrize(
    "more, note",
    [
        ({"cur_nimg": 25_000_000}, "cur_nimg"),
        ({"a\x1b[2J": [1, {"b": None}]}, r"a\x1b[2J"),
        ({"E": forge.module("Encoder")}, "E"),
        ({"D": "text"}, "D is left out: 'D' is a str"),
        ({"D": forge.module("D", _forward_hooks={0: "x"})}, "D is left out"),
        ({"G": 3}, "G is left out"),
        ({"training_set_kwargs": 3}, "training_set_kwargs is a int"),
    ],
    ids=str,
)
def test_what_drawing_does_not_need_is_left_out_with_a_note(tmp_path, more, note):
    (tmp_path / "n.pkl").write_bytes(average(**more))
    found = read_snapshot(tmp_path / "n.pkl")
    assert found.generator_ema.arrays and len(found.notes) == 1 and note in found.notes[0]


def test_names_that_move_the_cursor_are_written_out(tmp_path):
    layer = forge.module("Layer", {"\x1b[2J": forge.tensor(np.ones(2))})
    (tmp_path / "n.pkl").write_bytes(forge.dumps({"G_ema": forge.module("G", modules={"a": layer})}))
    with pytest.raises(UnsafePickleError) as error:
        read_snapshot(tmp_path / "n.pkl")
    assert "\x1b" not in str(error.value) and r"\x1b[2J" in str(error.value)
