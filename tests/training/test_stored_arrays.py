"""Descriptions of stored arrays that ask for more than their files are worth are refused before anything is allocated."""

import json

import pytest

from sg3x.training.stored_arrays import check_stored_arrays

HONEST = {"shape": [4, 2], "chunks": [4, 2], "dtype": "<f4", "zarr_format": 2}


@pytest.mark.parametrize(
    "change, named",
    [
        ({"shape": [10**12]}, "different lengths"),
        ({"shape": [10**6, 10**6]}, "is more than a checkpoint"),
        ({"chunks": [10**6, 10**6]}, "is more than a checkpoint"),
        ({"shape": [2**60, 1]}, "shape="),
        ({"shape": [-1, 2]}, "shape="),
        ({"shape": [True, 2]}, "shape="),
        ({"shape": "4"}, "shape="),
        ({"shape": [1] * 9, "chunks": [1] * 9}, "shape="),
        ({"dtype": "|O"}, "dtype='|O'"),
        ({"dtype": ["<f4"]}, "dtype="),
    ],
    ids=str,
)
def test_arrays_that_cannot_be_are_named(tmp_path, change, named):
    (tmp_path / "g.a").mkdir()
    (tmp_path / "g.a" / ".zarray").write_text(json.dumps(HONEST))
    check_stored_arrays(tmp_path)
    (tmp_path / "g.a" / ".zarray").write_text(json.dumps(HONEST | change))
    with pytest.raises(ValueError, match=r"(?s)\.zarray is damaged") as error:
        check_stored_arrays(tmp_path)
    assert named in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 60000], ids=["", "[]", "null", "{}", "ff", "deep"]
)
def test_descriptions_that_are_none_are_named(tmp_path, content):
    (tmp_path / ".zarray").write_bytes(content)
    with pytest.raises(ValueError, match=r"\.zarray is damaged"):
        check_stored_arrays(tmp_path)
