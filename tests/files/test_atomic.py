from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sg3x.files import atomic, lifeline
from sg3x.files.atomic import Made, atomic_folder, atomic_write, check_count, explain_disk_full

ANY = Made("anything", ("*",))
NOTES = Made("notes", ("note*.txt", "index"), mark="index")


def test_folder_appears_complete_and_replaces_the_old_one(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with atomic_folder(out, ANY) as folder:
        (folder / "new").write_text("new")
        assert [file.name for file in out.iterdir()] == ["old"]
    assert [file.name for file in out.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_folder_is_as_it_was_after_an_exception(tmp_path):
    out = tmp_path / "deep" / "out"
    with pytest.raises(KeyboardInterrupt), atomic_folder(out, ANY) as folder:
        (folder / "new").write_text("new")
        raise KeyboardInterrupt
    assert list((tmp_path / "deep").iterdir()) == []


def test_what_a_killed_run_left_is_gone_after_the_next(tmp_path, monkeypatch):
    host, free = atomic._HOST, 2**22 + 1  # larger than any process id
    for name in (f".out.{host}-{free}-0.partial", f".out.{host}-{free}-1.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out", ANY) as folder:
        assert list(folder.iterdir()) == []
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    for owner, name in ((host, f".one.{host}-{free}-0.partial"), ("far", ".one.far-1-0.partial")):
        (tmp_path / name).write_text(owner)
    monkeypatch.setattr(atomic, "_swept", set())
    atomic_write(tmp_path / "two", b"")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".one.far-1-0.partial", "out", "two"]


def test_what_stepped_aside_for_a_killed_writer_comes_back(tmp_path):
    """Killed between the two renames, it left nothing at the place itself."""
    aside = tmp_path / f".out.{atomic._HOST}-{2**22 + 1}-1.old"
    aside.mkdir()
    (aside / "index").write_text("the only one")
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "out", NOTES):
        raise KeyboardInterrupt
    assert (tmp_path / "out" / "index").read_text() == "the only one"


def test_what_happens_to_have_a_similar_name_is_left_alone(tmp_path):
    for name in (".out.partial", ".out.old", ".out.lock.old", ".out.a-b-c.old"):
        (tmp_path / name).mkdir()
    with atomic_folder(tmp_path / "out", ANY):
        pass
    assert len(list(tmp_path.iterdir())) == 5


def make_notes(place):
    for name in ("index", "note1.txt", "note2.txt"):
        (place / name).write_text(name)


def with_more(name):
    def fill(place):
        make_notes(place)
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("precious")

    return fill


PRECIOUS = {
    "a file of somebody's": lambda place: (place / "thesis.txt").write_text("x"),
    "one more file": with_more("thesis.txt"),
    "one more file, deep down": with_more("a/b/thesis.txt"),
    "a hidden one": with_more(".env"),
    "a repository": with_more(".git/HEAD"),
    "a link to a folder": lambda place: (make_notes(place), (place / "more").symlink_to(place.parent)),
    "a dangling link": lambda place: (make_notes(place), (place / "more").symlink_to("nowhere")),
    "others of the kind": with_more("second/index"),
    "the same names without the mark": lambda place: (place / "note1.txt").write_text("x"),
}


def contents(place):
    return {path.relative_to(place): path.is_file() and path.read_bytes() for path in place.rglob("*")}


@pytest.mark.parametrize("fill", PRECIOUS.values(), ids=PRECIOUS)
def test_a_folder_that_holds_anything_else_is_refused_by_name(tmp_path, fill):
    out = tmp_path / "out"
    out.mkdir()
    fill(out)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"out (holds|is not) .*nothing was replaced.*new or empty folder, or notes"):
        atomic_folder(out, NOTES).__enter__()
    assert contents(tmp_path) == before


def test_a_file_a_dangling_link_and_the_current_folder_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "here" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deeper")
    places = {
        tmp_path / "file": "a file",
        tmp_path / "link": "a link",
        ".": "the current",
        "..": "holds the",
        "/": "holds",
    }
    for place, why in places.items():
        with pytest.raises(ValueError, match=f"{why}.*nothing was replaced"):
            atomic_folder(place, ANY).__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "here", "link"]


def test_what_appears_while_it_is_written_is_not_replaced(tmp_path):
    with pytest.raises(ValueError, match="holds thesis"), atomic_folder(tmp_path / "out", NOTES):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_older_one_of_the_kind_is_replaced_and_what_file_managers_leave(tmp_path):
    (tmp_path / "out").mkdir()
    with_more(".DS_Store")(tmp_path / "out")
    with atomic_folder(tmp_path / "out", NOTES) as folder:
        (folder / "index").write_text("new")
    assert contents(tmp_path / "out") == {Path("index"): b"new"}


def test_an_output_has_one_writer_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "WAIT_SECONDS", 0.0)
    with (
        atomic_folder(tmp_path / "out", ANY) as folder,
        pytest.raises(RuntimeError, match=f"another process .{os.getpid()}. is writing .*out.*repeat the command"),
    ):
        folder.joinpath("mine").touch()
        atomic_folder(tmp_path / "out", ANY).__enter__()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


def test_two_writers_share_no_file(tmp_path):
    names = {atomic._beside(tmp_path / "out", "partial").name for _ in range(2)}
    assert len(names) == 2 and all(str(os.getpid()) in name for name in names)


def test_an_orphan_replaces_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("of the next run")
    monkeypatch.setattr(lifeline, "_first", (1 << 30, 0))
    monkeypatch.setattr(lifeline, "_follows", True)
    with pytest.raises(lifeline.Orphaned, match="file was not written"):
        atomic_write(tmp_path / "file", b"x")
    with pytest.raises(lifeline.Orphaned, match="out was not written"), atomic_folder(tmp_path / "out", ANY):
        pass
    assert contents(tmp_path) == {Path("file"): b"of the next run"}


def test_what_is_handed_over_is_counted(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.png").touch()
    check_count(tmp_path, "train/*", 1, "pictures")
    with pytest.raises(RuntimeError, match="has 1 pictures, it should have 2"):
        check_count(tmp_path, "train/*", 2, "pictures")


def test_cache_behind_read_only_hard_links_is_not_touched(tmp_path):
    cached = tmp_path / "cached"
    cached.write_bytes(b"cached")
    cached.chmod(0o444)
    out = tmp_path / "out"
    out.mkdir()
    os.link(cached, out / "file")
    with atomic_folder(out, ANY) as folder:
        (folder / "file").write_bytes(b"new")
    os.link(cached, tmp_path / "single")
    atomic_write(tmp_path / "single", b"new")
    assert cached.read_bytes() == b"cached"
    assert (out / "file").read_bytes() == (tmp_path / "single").read_bytes() == b"new"


def test_folder_in_place_of_a_link_leaves_its_target_alone(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "out", ANY) as folder:
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


@pytest.mark.parametrize("number", atomic.NO_ROOM)
def test_a_full_disk_names_the_output(tmp_path, monkeypatch, number):
    def full(path, content):
        raise OSError(number, "no room")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"disk is full while writing .*curves\.png.*free some space"):
        atomic_write(tmp_path / "curves.png", b"x")
    with (
        pytest.raises(OSError, match=r"disk is full while writing .*figures.*free"),
        atomic_folder(tmp_path / "figures", ANY),
    ):
        raise OSError(number, "no room")  # of a library that names no file
    assert list(tmp_path.iterdir()) == []


def test_only_a_full_disk_is_explained(tmp_path):
    with pytest.raises(OSError, match="disk is full while packing") as full, explain_disk_full(tmp_path, "packing"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match=r"^other$"), explain_disk_full(tmp_path, "packing"):
        raise OSError("other")
