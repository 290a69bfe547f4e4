"""Zips that people have, and zips that are made to harm."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import pytest

from sg3x.data.fetch import fetch_path


def packed(path: Path, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as file:
        warnings.simplefilter("ignore")  # equal names
        for name, content in members:
            info = zipfile.ZipInfo("x", (2020, 1, 1, 0, 0, 0))
            info.filename = name
            file.writestr(info, content, compress_type=compression)
    return path


def fetch(tmp_path: Path, members: list[tuple[str, bytes]], **options) -> dict[str, bytes]:
    fetch_path(packed(tmp_path / "mine.zip", members), tmp_path / "raw", picture_class="cat", **options)
    return {file.name: file.read_bytes() for file in (tmp_path / "raw" / "train" / "cat").iterdir()}


@pytest.mark.parametrize(
    ("name", "flat"),
    [
        ("./a.png", "a.png"),
        ("././a.png", "a.png"),
        (".//a.png", "a.png"),
        ("./train/cat/a.png", "a.png"),
        ("sub/./a.png", "a.png"),
        (".\\sub\\a.png", "a.png"),
        ("5:30 in the morning.png", "5:30 in the morning.png"),
        ("a:b.png", "a:b.png"),
    ],
)
def test_odd_but_harmless_names_are_taken(tmp_path, name, flat):
    assert fetch(tmp_path, [(name, b"1")]) == {flat: b"1"}


@pytest.mark.parametrize(
    "name", ["../a.png", "b/../../a.png", "/a.png", "./../a.png", "C:/a.png", "c:\\a.png", "\\\\host\\a.png"]
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="leads out of it"):
        fetch(tmp_path, [("ok.png", b"1"), (name, b"2")])
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("names", [["a.png"] * 8, ["a.png", "./a.png"], ["s/a.png", "s\\a.png", "s//a.png"]])
def test_of_several_members_with_one_name_the_last_is_taken_and_the_others_counted(tmp_path, names):
    assert fetch(tmp_path, [(name, str(i).encode()) for i, name in enumerate(names)]) == {
        "a.png": str(len(names) - 1).encode()
    }
    (entry,) = json.loads((tmp_path / "raw" / "source.json").read_text())["left_out"]["files"]
    assert entry["reason"].startswith(f"{len(names) - 1} members of this name")


BOMB = [(f"{i}.png", b"\0" * 30_000_000) for i in range(4)]  # 0.1 MB, a thousandth


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, compression):
    from sg3x.data.archives import Archive

    source = packed(tmp_path / "mine.zip", BOMB, compression)
    assert source.stat().st_size < 200_000
    monkeypatch.setattr(Archive, "unpack", lambda *args: pytest.fail("unpacked"))
    with pytest.raises(ValueError, match=r"would unpack to 0\.1200 GB.*set fetch\.max_gb to 0\.121"):
        fetch_path(source, tmp_path / "raw", picture_class="cat")


def test_the_user_sets_the_limit(tmp_path):
    with pytest.raises(ValueError, match=r"which is more than fetch\.max_gb allow"):
        fetch(tmp_path, [("a.png", b"12345678901")], max_gb=1e-8)
    assert fetch(tmp_path, [("a.png", b"1234567890")], max_gb=1e-8) == {"a.png": b"1234567890"}


def test_what_is_not_taken_counts_for_nothing(tmp_path):
    members = [("cat/a.png", b"1"), ("dog/b.png", b"\0" * 1000)]
    assert fetch(tmp_path, members, max_gb=1e-7) == {"a.png": b"1"}


def test_a_name_that_is_said_to_be_utf8_and_is_not_is_a_damaged_zip(tmp_path):
    content = packed(tmp_path / "mine.zip", [("ä.png", b"1")]).read_bytes().replace("ä".encode(), b"\xff\xfe")
    (tmp_path / "mine.zip").write_bytes(content)
    with pytest.raises(ValueError, match="is not a zip that can be unpacked"):
        fetch_path(tmp_path / "mine.zip", tmp_path / "raw", picture_class="cat")
