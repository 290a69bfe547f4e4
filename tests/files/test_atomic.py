from __future__ import annotations

import errno
import os

import pytest

from sg3x.files.atomic import atomic_folder, atomic_write, explain_disk_full


def test_folder_appears_complete_and_replaces_the_old_one(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with atomic_folder(out) as folder:
        (folder / "new").write_text("new")
        assert [file.name for file in out.iterdir()] == ["old"]
    assert [file.name for file in out.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_folder_is_as_it_was_after_an_exception(tmp_path):
    out = tmp_path / "deep" / "out"
    with pytest.raises(KeyboardInterrupt), atomic_folder(out) as folder:
        (folder / "new").write_text("new")
        raise KeyboardInterrupt
    assert list((tmp_path / "deep").iterdir()) == []


def test_what_a_killed_run_left_is_gone_after_the_next(tmp_path):
    for name in (".out.partial", ".out.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    with atomic_folder(tmp_path / "out") as folder:
        assert list(folder.iterdir()) == []
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_cache_behind_read_only_hard_links_is_not_touched(tmp_path):
    cached = tmp_path / "cached"
    cached.write_bytes(b"cached")
    cached.chmod(0o444)
    out = tmp_path / "out"
    out.mkdir()
    os.link(cached, out / "file")
    with atomic_folder(out) as folder:
        (folder / "file").write_bytes(b"new")
    os.link(cached, tmp_path / "single")
    atomic_write(tmp_path / "single", b"new")
    assert cached.read_bytes() == b"cached"
    assert (out / "file").read_bytes() == (tmp_path / "single").read_bytes() == b"new"


def test_folder_in_place_of_a_link_leaves_its_target_alone(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "new").write_text("new")
    assert not (tmp_path / "out").is_symlink()
    assert list((tmp_path / "real").iterdir()) == []


def test_file_is_as_it_was_when_writing_fails(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(errno.EIO, "no")

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        atomic_write(tmp_path / "file", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_only_a_full_disk_is_explained(tmp_path):
    with pytest.raises(OSError, match="disk is full while packing") as full, explain_disk_full(tmp_path, "packing"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match=r"^other$"), explain_disk_full(tmp_path, "packing"):
        raise OSError("other")
