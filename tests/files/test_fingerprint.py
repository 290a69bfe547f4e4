from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg3x.files.fingerprint import ArrayHash, hash_array, hash_file, hash_tree


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_file_hash_is_plain_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"cat" * 100_000)
    assert hash_file(tmp_path / "file") == hashlib.sha256(b"cat" * 100_000).hexdigest()


def test_tree_hash_depends_on_names_and_contents_only(tmp_path):
    files = {"b": b"2", "a/c": b"1", "a.b": b"3"}
    one = write(tmp_path / "one", files)
    two = write(tmp_path / "else" / "two", dict(reversed(files.items())))
    (two / "empty").mkdir()
    os.utime(two / "b", (0, 0))
    (two / "b").chmod(0o444)
    assert hash_tree(one) == hash_tree(two)


@pytest.mark.parametrize(
    "other",
    [
        {"b": b"2"},
        {"b": b"2", "a/c": b"x"},
        {"b": b"2", "a/d": b"1"},
        {"b": b"2", "ac": b"1"},
        {"b": b"1", "a/c": b"2"},
        {"b": b"2", "a/c": b"1", "d": b""},
    ],
)
def test_tree_hash_changes_with_any_name_or_content(tmp_path, other):
    one = write(tmp_path / "one", {"b": b"2", "a/c": b"1"})
    assert hash_tree(one) != hash_tree(write(tmp_path / "two", other))


def test_tree_hash_of_links_is_that_of_what_they_point_to(tmp_path):
    one = write(tmp_path / "one", {"a": b"1"})
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a").symlink_to(one / "a")
    assert hash_tree(tmp_path / "two") == hash_tree(one)


def test_tree_hash_does_not_depend_on_the_order_on_disk(tmp_path, monkeypatch):
    folder = write(tmp_path, {f"{i}/{j}": b"%d" % j for i in range(3) for j in range(5)})
    expected, real = hash_tree(folder), os.walk
    for order in (sorted, lambda names: sorted(names, reverse=True)):

        def walk(path, followlinks, order=order):
            return [(where, folders, order(files)) for where, folders, files in order(real(path))]

        monkeypatch.setattr(os, "walk", walk)
        assert hash_tree(folder) == expected


def test_tree_hash_of_a_file_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        hash_tree(tmp_path / "file")


def test_array_hash_changes_with_shape_dtype_and_content():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    variants = [array, array.reshape(3, 2, 4), array.view(np.int8), array[::-1].copy(), array[:1]]
    assert len({hash_array(variant) for variant in variants}) == len(variants)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=10))
def test_array_hash_does_not_depend_on_the_pieces(pieces):
    whole = np.frombuffer(b"".join(pieces), np.uint8)
    digest = ArrayHash()
    for piece in pieces:
        digest.update(piece)
    assert digest.finish(np.dtype(np.uint8), whole.shape) == hash_array(whole)


def test_array_hash_of_many_blocks_is_that_of_one_piece():
    array = np.random.default_rng(0).integers(0, 256, (3, 1 << 20), np.uint8)
    digest = ArrayHash()
    digest.update(array.tobytes())
    assert hash_array(array) == digest.finish(array.dtype, array.shape)
