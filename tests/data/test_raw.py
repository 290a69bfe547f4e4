"""`sg3x.data.raw`: data/raw is what the fetch stage wrote, or the message says what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sg3x.data.fetch import fetch_path
from sg3x.data.raw import check_handed_over, check_nothing_of_the_users
from sg3x.data.toycats import write_toycats


def of_the_users(folder: Path) -> Path:
    (folder / "mine" / "s").mkdir(parents=True)
    for name in ("1.png", "2.png", "s/3.png"):
        (folder / "mine" / name).write_bytes(name.encode())
    fetch_path(folder / "mine", folder / "raw", picture_class="cat")
    return folder / "raw"


def drawn(folder: Path) -> Path:
    write_toycats(folder / "raw", count=3, size=16, seed=0, workers=1)
    return folder / "raw"


@pytest.fixture(params=[of_the_users, drawn])
def raw(request, tmp_path) -> Path:
    return request.param(tmp_path)


def test_what_fetch_wrote_is_in_order(raw):
    check_nothing_of_the_users(raw)
    check_handed_over(raw, "error")


@pytest.mark.parametrize("name", ["train/cat/mine.png", "train/dog/mine.png", "mine.png", "train/cat/sub/notes.txt"])
def test_a_file_put_there_by_hand_is_neither_deleted_nor_trained_on(raw, name):
    (raw / name).parent.mkdir(exist_ok=True)
    (raw / name).write_bytes(b"mine")
    for check in (check_nothing_of_the_users, check_handed_over):
        with pytest.raises(ValueError, match=name):
            check(raw)


def test_hidden_files_are_nobodys(raw):
    (raw / "train" / ".DS_Store").write_bytes(b"")
    check_nothing_of_the_users(raw)
    check_handed_over(raw)


def test_a_picture_that_is_gone_is_named_and_fetched_anew(raw):
    gone = sorted((raw / "train" / "cat").iterdir())[0]
    gone.unlink()
    check_nothing_of_the_users(raw)
    with pytest.raises(ValueError, match=rf"lacks 1 file \(train/cat/{gone.name}\)"):
        check_handed_over(raw)


def test_of_many_strangers_the_first_are_named(raw):
    for i in range(30):
        (raw / f"{i:02}.png").touch()
    with pytest.raises(ValueError, match=r"30 files \(00\.png, .*09\.png and 20 more\)"):
        check_nothing_of_the_users(raw)


def test_where_nothing_is_on_record_nothing_is_said(tmp_path):
    check_nothing_of_the_users(tmp_path / "raw")
    (tmp_path / "raw" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "raw" / "train" / "cat" / "a.png").touch()
    (tmp_path / "raw" / "source.json").write_text('{"pictures": 1}')
    check_nothing_of_the_users(tmp_path / "raw")
    check_handed_over(tmp_path / "raw", "error")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"files": ["a"]}', b'{"files": 1, "class": "cat"}',
        b'{"files": [1], "class": "cat"}', b'{"left_out": []}', b'{"left_out": {"files": [1]}}',
    ],
    ids=lambda content: content[:20].decode(errors="replace"),
)  # fmt: skip
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "source.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"source\.json is damaged.*run the fetch stage again"):
        check_nothing_of_the_users(tmp_path)


def test_what_could_not_be_fetched_is_an_unreadable_picture(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(b"1")
    (tmp_path / "mine" / "b.png").symlink_to("nowhere")
    fetch_path(tmp_path / "mine", tmp_path / "raw", picture_class="cat")
    check_handed_over(tmp_path / "raw", "skip")
    with pytest.raises(ValueError, match=r"1 pictures could not be fetched.*\n  b\.png: a link that leads nowhere"):
        check_handed_over(tmp_path / "raw", "error")


def test_a_foreign_picture_among_those_that_are_handed_over_stops_the_stage(tmp_path, monkeypatch):
    """Whoever else writes into the folder that is being filled."""
    from sg3x.data import fetch

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(b"1")
    copy = fetch._copy_file
    monkeypatch.setattr(fetch, "_copy_file", lambda a, b: (copy(a, b), copy(a, b.with_name("foreign.png"))))
    with pytest.raises(ValueError, match=r"holds 1 file \(train/cat/foreign\.png\) besides"):
        fetch_path(tmp_path / "mine", tmp_path / "raw", picture_class="cat")
    assert not (tmp_path / "raw").exists()


def test_a_picture_that_changes_while_it_is_copied_stops_the_stage(tmp_path, monkeypatch):
    import shutil

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(b"1")
    copy = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", lambda a, b: (copy(a, b), Path(a).write_bytes(b"22")))
    with pytest.raises(ValueError, match=r"a\.png changed while it was copied"):
        fetch_path(tmp_path / "mine", tmp_path / "raw", picture_class="cat")


def test_the_record_holds_the_names(tmp_path):
    record = json.loads((of_the_users(tmp_path) / "source.json").read_text())
    assert record["files"] == ["1.png", "2.png", "s__3.png"]
