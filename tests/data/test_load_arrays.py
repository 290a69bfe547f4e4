"""`load_arrays` of `sg3x.data.prepare`: what it refuses to open."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from sg3x.data.prepare import load_arrays, load_index, prepare_dataset


@pytest.fixture
def out(raw: Path, tmp_path: Path) -> Path:
    """Ten rows of 16x16 pixels."""
    settings = {"resolution": 16, "resize_filter": "area", "nonsquare": "crop", "unreadable": "error"}
    prepare_dataset(raw, tmp_path / "arrays", **settings, flips=True, max_images=None, workers=1)
    return tmp_path / "arrays"


def rewrite(out: Path, **changes: object) -> None:
    facts = json.loads((out / "dataset.json").read_text()) | changes
    (out / "dataset.json").write_text(json.dumps(facts))


def test_opening_says_what_is_missing(out):
    with pytest.raises(ValueError, match=r"dataset\.json is not there: run the prepare stage"):
        load_arrays(out.parent)
    (out / "images.npy").unlink()
    with pytest.raises(ValueError, match=r"images\.npy is not there: run the prepare stage"):
        load_arrays(out)


@pytest.mark.parametrize("changes", [{"shape": [8, 16, 16, 3]}, {"dtype": "float32"}])
def test_array_and_facts_must_belong_together(out, changes):
    rewrite(out, **changes)
    with pytest.raises(ValueError, match=r"images\.npy is uint8\[10, 16, 16, 3\], but dataset\.json beside it says"):
        load_arrays(out)


def test_damaged_files_are_named(out):
    content = (out / "images.npy").read_bytes()
    (out / "images.npy").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="is not a prepared data set"):
        load_arrays(out)
    (out / "images.npy").write_bytes(content)
    (out / "dataset.json").write_text("{")
    with pytest.raises(ValueError, match="is not a prepared data set"):
        load_arrays(out)
    (out / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match="is not a prepared data set"):
        load_arrays(out)


def test_changed_array_is_noticed_when_asked_for(out):
    content = bytearray((out / "images.npy").read_bytes())
    content[-1] ^= 1
    load_arrays(out, verify=True)
    (out / "images.npy").write_bytes(content)
    load_arrays(out)
    with pytest.raises(ValueError, match="the array changed"):
        load_arrays(out, verify=True)


def npy(header: bytes, version: bytes = b"\1\0") -> bytes:
    return (
        b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(header)) + header + bytes(7680)
    )


HEADERS = {
    "empty": b"",
    "no magic": b"I am a text",
    "a zip": b"PK\3\4" + bytes(40),
    "a pickle": b"\x80\4K\1.",
    "no dictionary": npy(b"[1, 2]"),
    "no Python": npy(b"{'descr': "),
    "not UTF-8": npy(b"\xff\xfe", b"\3\0"),
    "no shape": npy(b"{'descr': '|u1', 'fortran_order': False}"),
    "no type": npy(b"{'descr': 'x', 'fortran_order': False, 'shape': (1,)}"),
    "objects": npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    "negative": npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (-10, 16, 16, 3)}"),
    "terabytes": npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (10**4, 10**9)}"),
    "larger than the file": npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000, 16, 16, 3)}"),
    "overflowing": npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999, 9)}"),
    "text as shape": npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': 'ab'}"),
    "deep": npy(b"(" * 9000 + b")" * 9000),
    "version 9": npy(b"{}", b"\x09\0"),
    "long header": npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (10, 16, 16, 3)" + b" " * 60000 + b"}"),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_bad_header_is_one_error_that_names_the_file(out, content):
    (out / "images.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.npy .*run the prepare stage again"):
        load_arrays(out)


@pytest.mark.parametrize(
    "facts", [b"", b"[]", b"null", b"1", b'"a"', b"\xff", b'{"shape": 1, "dtype": 1}', b"[" * 100_000]
)
def test_bad_facts_are_one_error_that_names_the_folder(out, facts):
    (out / "dataset.json").write_bytes(facts)
    with pytest.raises(ValueError, match=r"arrays is not a prepared data set.*run the prepare stage again"):
        load_arrays(out)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"row,file,flip\n1\n" + b'"' + b"x" * 200_000])
def test_a_bad_index_is_named(out, content):
    (out / "index.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"index\.csv is not the index of a data set.*run the prepare stage again"):
        load_index(out)
    (out / "index.csv").unlink()
    with pytest.raises(ValueError, match=r"index\.csv is not there"):
        load_index(out)
