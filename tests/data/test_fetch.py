from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg3x.data import fetch
from sg3x.data.fetch import choose, fetch_path, fetch_zip_url
from sg3x.files.download import ChecksumError, DownloadError
from sg3x.files.fingerprint import hash_file, hash_tree

AFHQ = {
    "train/cat/pixabay_1.png": b"cat 1",
    "train/cat/flickr_2.jpg": b"cat 2",
    "train/dog/dog.png": b"dog",
    "test/cat/other.png": b"test cat",
    "LICENSE.txt": b"by-nc",
}
CATS = {"pixabay_1.png": b"cat 1", "flickr_2.jpg": b"cat 2"}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def packed(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    return path


def tree(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def taken(out: Path, picture_class: str = "cat") -> dict[str, bytes]:
    """The pictures in `out`, after checking that there is nothing else but source.json, there and beside it."""
    assert not [file.name for file in out.parent.iterdir() if file.name.startswith(f".{out.name}")]
    files = tree(out)
    assert json.loads(files.pop("source.json"))["pictures"] == len(files)
    prefix = f"train/{picture_class}/"
    assert all(name.startswith(prefix) and "/" not in name.removeprefix(prefix) for name in files)
    return {name.removeprefix(prefix): content for name, content in files.items()}


def short(note: dict) -> dict:
    """What was taken, without the names."""
    return {key: value for key, value in note.items() if key not in ("files", "left_out")}


@pytest.fixture(params=["folder", "zip"])
def source(request, tmp_path):
    """(files) → a folder or a zip with them."""
    return lambda files: (
        folder(tmp_path / "mine", files) if request.param == "folder" else packed(tmp_path / "mine.zip", files)
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "data" / "raw"


# What is taken from a folder or zip


@pytest.mark.parametrize("wrapper", ["", "afhq/", "data/afhq/"])
def test_of_afhq_only_the_wanted_training_class_is_taken(source, out, wrapper):
    fetch_path(source({wrapper + name: content for name, content in AFHQ.items()}), out, picture_class="cat")
    assert taken(out) == CATS


def test_another_class_lands_in_its_own_folder(source, out):
    fetch_path(source(AFHQ), out, picture_class="dog")
    assert taken(out, "dog") == {"dog.png": b"dog"}


@pytest.mark.parametrize("wrapper", ["", "pets/"])
def test_a_folder_of_the_class_is_enough(source, out, wrapper):
    fetch_path(source({wrapper + "cat/1.png": b"1", wrapper + "dog/2.png": b"2"}), out, picture_class="cat")
    assert taken(out) == {"1.png": b"1"}


def test_else_all_pictures_are_taken_at_any_depth_and_flattened(source, out):
    files = {"top/a.PNG": b"1", "top/sub/b.jpeg": b"2", "top/sub/deep/b.jpeg": b"3", "top/notes.txt": b"4"}
    fetch_path(source(files), out, picture_class="cat")
    assert taken(out) == {"a.PNG": b"1", "sub__b.jpeg": b"2", "sub__deep__b.jpeg": b"3"}


def test_one_folder_of_pictures_keeps_their_names(source, out):
    fetch_path(source({"Mimi 1.png": b"1", "Möhre.webp": b"2"}), out, picture_class="cat")
    assert taken(out) == {"Mimi 1.png": b"1", "Möhre.webp": b"2"}


def test_pictures_right_in_train_are_taken(source, out):
    fetch_path(source({"train/a.png": b"1", "train/b.png": b"2"}), out, picture_class="cat")
    assert taken(out) == {"a.png": b"1", "b.png": b"2"}


def test_hidden_files_and_shadow_files_of_macos_are_left_out(source, out):
    files = {"a.png": b"1", "._a.png": b"2", "__MACOSX/a.png": b"3", ".thumbs/b.png": b"4"}
    fetch_path(source(files), out, picture_class="cat")
    assert taken(out) == {"a.png": b"1"}


def test_equal_flat_names_are_told_apart(source, out):
    files = {"a__b.png": b"1", "a/b.png": b"2", "A/B.PNG": b"3", "c.png": b"4"}
    fetch_path(source(files), out, picture_class="cat")
    names = taken(out)
    assert sorted(names.values()) == [b"1", b"2", b"3", b"4"]
    assert names["c.png"] == b"4"
    assert len({name.casefold() for name in names}) == 4


@given(st.lists(st.text("aAb_/", min_size=1, max_size=8), unique=True, max_size=12))
def test_every_picture_gets_one_name_of_its_own_whatever_the_order(paths):
    names = sorted({"/".join(part for part in path.split("/") if part) or "x" for path in paths} | {"x"})
    names = [name + ".png" for name in names]
    flat = choose(names, "cat", "mine")
    assert sorted(flat) == names
    assert len({short.casefold() for short in flat.values()}) == len(names)
    assert not any("/" in short for short in flat.values())
    assert flat == choose(names[::-1], "cat", "mine")


# What is written


def test_note_says_where_from_and_holds_no_place_and_no_time(tmp_path, out):
    source = packed(tmp_path / "mine.zip", AFHQ)
    note = fetch_path(source, out, picture_class="cat")
    assert short(note) == {
        "source": "path",
        "name": "mine.zip",
        "sha256": hash_file(source),
        "class": "cat",
        "pictures": 2,
    }
    assert json.loads((out / "source.json").read_text()) == note


def test_note_of_a_folder_has_the_sum_of_what_was_taken(tmp_path, out):
    source = folder(tmp_path / "mine", AFHQ)
    note = fetch_path(source, out, picture_class="cat")
    assert note["name"] == "mine"
    assert note["sha256"] == hash_tree(out / "train" / "cat")


def test_same_pictures_elsewhere_give_the_same_bytes(tmp_path):
    for place in ("one", "two"):
        folder(tmp_path / place / "mine", dict(AFHQ if place == "one" else reversed(AFHQ.items())))
        fetch_path(tmp_path / place / "mine", tmp_path / place / "raw", picture_class="cat")
    os.utime(tmp_path / "two" / "mine" / "train" / "cat" / "pixabay_1.png", (0, 0))
    assert hash_tree(tmp_path / "one" / "raw") == hash_tree(tmp_path / "two" / "raw")


def test_pictures_are_copies_that_can_be_written(tmp_path, out):
    picture = folder(tmp_path / "mine", {"a.png": b"1"}) / "a.png"
    picture.chmod(0o444)
    fetch_path(tmp_path / "mine", out, picture_class="cat")
    assert not os.path.samefile(picture, out / "train" / "cat" / "a.png")
    assert (out / "train" / "cat" / "a.png").stat().st_mode & stat.S_IWUSR


def test_linked_pictures_and_folders_are_followed_but_not_in_circles(tmp_path, out):
    folder(tmp_path / "else", {"deep/a.png": b"1", "b.png": b"2"})
    source = folder(tmp_path / "mine", {"c.png": b"3"})
    (source / "linked").symlink_to(tmp_path / "else" / "deep")
    (source / "b.png").symlink_to(tmp_path / "else" / "b.png")
    (source / "loop").symlink_to(source)
    fetch_path(source, out, picture_class="cat")
    assert taken(out) == {"linked__a.png": b"1", "b.png": b"2", "c.png": b"3"}


def test_old_output_is_replaced_whole_and_its_cache_left_alone(tmp_path, out):
    cached = folder(tmp_path / "cache", {"x": b"old"}) / "x"
    (out / "train" / "cat").mkdir(parents=True)
    os.link(cached, out / "train" / "cat" / "a.png")
    os.link(cached, out / "train" / "cat" / "gone.png")
    fetch_path(folder(tmp_path / "mine", {"a.png": b"new"}), out, picture_class="cat")
    assert taken(out) == {"a.png": b"new"}
    assert cached.read_bytes() == b"old"


def test_nothing_half_done_is_left_when_copying_fails(tmp_path, out, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match=r"disk is full while copying pictures.*raw"):
        fetch_path(folder(tmp_path / "mine", {"a.png": b"1"}), out, picture_class="cat")
    assert list(out.parent.iterdir()) == []


# What is refused


@pytest.mark.parametrize("files", [{"a.txt": b"1", "b.mov": b"2"}, {}])
def test_without_pictures_the_error_says_what_was_looked_for(source, tmp_path, out, files):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match=r"no pictures: looked in train/cat/, cat/, or anywhere.*\.png.*saw \d files"):
        fetch_path(source(files), out, picture_class="cat")
    assert not out.exists()


def test_other_classes_are_not_taken_for_the_wanted_one(source, out):
    with pytest.raises(ValueError, match=r"no pictures in train/lynx/; fetch.picture_class is 'lynx'.*are: cat, dog"):
        fetch_path(source(AFHQ), out, picture_class="lynx")


def test_missing_source_names_the_param(tmp_path, out):
    with pytest.raises(ValueError, match=r"fetch\.path is .*nowhere.*not there"):
        fetch_path(tmp_path / "nowhere", out, picture_class="cat")


@pytest.mark.parametrize(
    ("source", "out"), [("data/raw", "data/raw"), ("data", "data/raw"), ("data/raw/x", "data/raw")]
)
def test_source_and_output_must_not_overlap(tmp_path, source, out):
    folder(tmp_path / source, {"a.png": b"1"})
    with pytest.raises(ValueError, match="overlaps the stage's output"):
        fetch_path(tmp_path / source, tmp_path / out, picture_class="cat")
    assert (tmp_path / source / "a.png").exists()


@pytest.mark.parametrize("picture_class", ["", "a/b", "..", ".hidden"])
def test_class_must_be_the_name_of_a_folder(tmp_path, out, picture_class):
    with pytest.raises(ValueError, match=r"fetch\.picture_class is"):
        fetch_path(folder(tmp_path / "mine", {"a.png": b"1"}), out, picture_class=picture_class)


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/evil.png", "..\\evil.png", "C:\\evil.png"])
def test_zip_that_leads_out_of_itself_is_refused(tmp_path, out, name):
    source = packed(tmp_path / "mine.zip", {"a.png": b"1", name: b"2"})
    with pytest.raises(ValueError, match="leads out of it"):
        fetch_path(source, out, picture_class="cat")
    assert not list(tmp_path.rglob("evil.png"))
    assert not out.exists()


def test_zip_written_with_backslashes_is_read(tmp_path, out):
    fetch_path(packed(tmp_path / "mine.zip", {"train\\cat\\a.png": b"1"}), out, picture_class="cat")
    assert taken(out) == {"a.png": b"1"}


def test_links_in_a_zip_are_left_out(tmp_path, out):
    source = packed(tmp_path / "mine.zip", {"a.png": b"1"})
    link = zipfile.ZipInfo("b.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(source, "a") as file:
        file.writestr(link, "/etc/hostname")
    fetch_path(source, out, picture_class="cat")
    assert taken(out) == {"a.png": b"1"}


def test_file_that_is_no_zip_is_refused(tmp_path, out):
    (tmp_path / "mine.zip").write_bytes(b"<!doctype html>")
    with pytest.raises(ValueError, match=r"mine\.zip \(fetch\.path\) is not a zip that can be unpacked.*another zip"):
        fetch_path(tmp_path / "mine.zip", out, picture_class="cat")


def test_truncated_zip_is_refused(tmp_path, out):
    source = packed(tmp_path / "mine.zip", AFHQ)
    source.write_bytes(source.read_bytes()[:-40])
    with pytest.raises(ValueError, match="not a zip that can be unpacked"):
        fetch_path(source, out, picture_class="cat")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_zip_with_damaged_content_is_refused_and_nothing_is_left(tmp_path, out, compression):
    content = os.urandom(3000)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w", compression) as file:
        file.writestr("a.png", content)
    damaged = bytearray((tmp_path / "mine.zip").read_bytes())
    damaged[1000:1010] = bytes(byte ^ 0x55 for byte in damaged[1000:1010])
    (tmp_path / "mine.zip").write_bytes(damaged)
    with pytest.raises(ValueError, match="not a zip that can be unpacked"):
        fetch_path(tmp_path / "mine.zip", out, picture_class="cat")
    assert list(out.parent.iterdir()) == []


def flags_set(path: Path, bit: int) -> Path:
    """Sets a flag of every member, in both of its headers."""
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= bit
            at = data.find(magic, at + 1)
    path.write_bytes(data)
    return path


def test_encrypted_zip_is_refused(tmp_path, out):
    source = flags_set(packed(tmp_path / "mine.zip", AFHQ), 1)
    with pytest.raises(ValueError, match=r"is encrypted, from train/cat/flickr_2\.jpg on: unpack it"):
        fetch_path(source, out, picture_class="cat")


# AFHQv2 by URL


@pytest.fixture
def server(file_server, tmp_path):
    file_server.content = packed(tmp_path / "server" / "afhq.zip", AFHQ).read_bytes()
    return file_server


@pytest.fixture
def get(server, out, tmp_path):
    defaults = {"sha256": None, "picture_class": "cat", "local_zip": None, "downloads": tmp_path / "downloads"}
    return lambda **options: fetch_zip_url(server.url, out, **(defaults | {"backoff": 0.001} | options))


def test_zip_by_url_is_unpacked_and_its_sum_recorded(server, get, out):
    note = get()
    assert taken(out) == CATS
    sha256 = hashlib.sha256(server.content).hexdigest()
    assert short(note) == {"source": "afhqv2", "url": server.url, "sha256": sha256, "class": "cat", "pictures": 2}
    assert json.loads((out / "source.json").read_text()) == note


def test_zip_is_fetched_once_even_when_the_output_is_gone_or_another_class_is_wanted(server, get, out):
    sha256 = get()["sha256"]
    shutil.rmtree(out)
    get(sha256=sha256)
    get(picture_class="dog")
    assert taken(out, "dog") == {"dog.png": b"dog"}
    assert len(server.requests) == 1


def test_download_that_broke_off_goes_on_in_the_next_run(server, get, out):
    server.drops = [100, 0]
    with pytest.raises(DownloadError):
        get(retries=1)
    assert not out.exists()
    get()
    assert server.requests[-1]["Range"] == "bytes=100-"
    assert taken(out) == CATS


def test_wrong_sum_keeps_the_zip_aside_and_the_old_output(server, get, out, tmp_path):
    get()
    before = tree(out)
    with pytest.raises(ChecksumError, match="fetch.sha256 is " + "0" * 64):
        get(sha256="0" * 64)
    assert tree(out) == before
    (aside,) = (tmp_path / "downloads").glob("*/file.zip.mismatch")
    assert aside.read_bytes() == server.content


def test_what_is_unpacked_is_the_file_whose_sum_was_checked(server, get, out, tmp_path, monkeypatch):
    """Another checkout that shares SG3X_DOWNLOADS may put its own file there between the two."""
    real = fetch.atomic_folder

    def replaced_meanwhile(*args, **options):
        for zipped in (tmp_path / "downloads").glob("*/file.zip"):
            zipped.with_name("other").write_bytes(b"another")
            zipped.with_name("other").replace(zipped)
        return real(*args, **options)

    monkeypatch.setattr(fetch, "atomic_folder", replaced_meanwhile)
    assert get()["pictures"] == len(CATS) and taken(out) == CATS


def test_progress_is_told(server, get):
    calls: list[tuple[int, int | None]] = []
    get(progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(server.content), len(server.content))


def test_failed_download_names_both_ways_out(server, get):
    server.statuses = [404]
    with pytest.raises(DownloadError, match=r"HTTP 404.*Set fetch\.zip to a local copy.*fetch\.source to toycats"):
        get()


def test_zip_by_url_must_have_afhqs_layout(server, get, tmp_path):
    server.content = packed(tmp_path / "other.zip", {"cat/a.png": b"1"}).read_bytes()
    with pytest.raises(ValueError, match="no pictures: looked in train/cat/,"):
        get()


def test_download_that_is_no_zip_says_how_to_get_it_anew(server, get):
    server.content = b"not a zip"
    with pytest.raises(ValueError, match=r"file\.zip \(fetch\.url\) is not a zip.*Delete it and run again"):
        get()


def test_local_zip_is_taken_instead(server, get, out, tmp_path):
    local = packed(tmp_path / "mine" / "afhq_v2.zip", AFHQ)
    note = get(local_zip=local, sha256=hash_file(local))
    assert note["name"] == "afhq_v2.zip"
    assert "url" not in note
    assert taken(out) == CATS
    assert server.requests == []


def test_local_zip_with_a_wrong_sum_is_left_where_it_is(server, get, out, tmp_path):
    local = packed(tmp_path / "afhq_v2.zip", AFHQ)
    with pytest.raises(ChecksumError, match=hash_file(local) + ", but fetch.sha256 is 0000"):
        get(local_zip=local, sha256="0" * 64)
    assert local.exists()
    assert not out.exists()


def test_missing_local_zip_names_the_param(get, tmp_path):
    with pytest.raises(ValueError, match=r"fetch\.zip is .*none\.zip"):
        get(local_zip=tmp_path / "none.zip")
