"""Which files `fetch` takes, by content, and that it names every other one with the reason."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sg3x.data.fetch import fetch_path
from sg3x.data.pictures import decode
from sg3x.data.prepare import prepare_dataset


def encoded(kind: str, seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)).save(file, kind)
    return file.getvalue()


PNG = encoded("PNG")
# name → content: what people have, whatever its name
PICTURES = {
    "a.jfif": encoded("JPEG"),
    "a.jpe": encoded("JPEG"),
    "a.pjpeg": encoded("JPEG"),
    "a.avif": encoded("AVIF"),
    "a.heic": encoded("AVIF"),  # named by a phone's software, converted since
    "a.jp2": encoded("JPEG2000"),
    "a.ppm": encoded("PPM"),
    "a.tga": encoded("TGA"),
    "a.webp": encoded("WEBP"),
    "a.tiff": encoded("TIFF"),
    "a.gif": encoded("GIF"),
    "a.bmp": encoded("BMP"),
    "no_suffix": encoded("PNG", 1),
    "a.png.bak": encoded("JPEG", 1),
    "wrong.txt": encoded("WEBP", 1),
    "a.JPG.download": encoded("BMP", 1),
}
OTHERS = {
    "notes.txt": b"I am a text",
    "BMW.txt": b"BMW, a text that begins like a bitmap",
    "P5.md": b"P5: a text that begins like a pixmap",
    "film.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "page.html": b"<html>",
    "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "empty": b"",
    "photo.nef": encoded("TIFF"),
    "dataset.json": b'{"labels": [["a.png", 0]]}',
}


@pytest.fixture(params=["folder", "zip"])
def fetched(request, tmp_path):
    """(files) → source.json's content and the names taken, of a folder or a zip with them."""

    def fetch(files: dict[str, bytes], **options):
        source = tmp_path / ("mine.zip" if request.param == "zip" else "mine")
        if request.param == "zip":
            with zipfile.ZipFile(source, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        for name, content in files.items() if request.param == "folder" else ():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
        note = fetch_path(source, tmp_path / "raw", picture_class="cat", **options)
        return note, {file.name for file in (tmp_path / "raw" / "train" / "cat").iterdir()}

    return fetch


def reasons(note: dict) -> dict[str, str]:
    return {entry["file"]: entry["reason"] for entry in note["left_out"]["files"]}


def test_pictures_are_known_by_their_content_and_all_others_are_named(fetched, tmp_path):
    note, taken = fetched(PICTURES | OTHERS)
    assert taken == PICTURES.keys() == set(note["files"])
    assert reasons(note).keys() == OTHERS.keys()
    assert note["left_out"]["count"] == len(OTHERS)
    assert "camera raw" in reasons(note)["photo.nef"]
    assert "labels" in reasons(note)["dataset.json"]
    settings = {"resize_filter": "area", "nonsquare": "crop", "unreadable": "error", "flips": False, "max_images": None}
    facts = prepare_dataset(tmp_path / "raw", tmp_path / "arrays", resolution=16, workers=1, **settings)
    assert facts["pictures"] == len(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_each_of_them_decodes(name):
    assert decode(PICTURES[name]).size == (24, 24)


@pytest.mark.parametrize(
    ("name", "head", "reason"),
    [
        ("a.heic", b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "HEIC is not read here"),
        ("a.jpg", b"\0\0\0\x24ftypmif1\0\0\0\0mif1heic", "HEIC is not read here"),
        ("a.jxl", b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL is not read here"),
        ("a.png", b"I am a text", "not a picture"),
    ],
)
def test_what_should_be_a_picture_and_is_none_is_left_to_prepare_to_name(fetched, tmp_path, name, head, reason):
    fetched({name: head + b"\0" * 100, "b.png": PNG})
    settings = {"resize_filter": "area", "nonsquare": "crop", "unreadable": "error", "flips": False, "max_images": None}
    with pytest.raises(ValueError, match=f"cat/{name}: {reason}"):
        prepare_dataset(tmp_path / "raw", tmp_path / "arrays", resolution=16, workers=1, **settings)


def test_classes_side_by_side_are_counted(fetched):
    note, taken = fetched(
        {"cat/1.png": PNG, "dog/2.png": PNG, "dog/3.png": PNG, "bird/x/4.png": PNG, "dog/n.txt": b"n"}
    )
    assert taken == {"1.png"}
    assert reasons(note)["dog/"] == "2 pictures outside cat/ (fetch.picture_class)"
    assert reasons(note)["bird/x/"].startswith("1 pictures outside cat/")
    assert note["left_out"]["count"] == 4


def test_hidden_files_are_passed_over(fetched):
    note, taken = fetched({"a.png": PNG, "._a.png": PNG, "__MACOSX/a.png": PNG, ".thumbs/b.png": PNG})
    assert (taken, note["left_out"]["count"]) == ({"a.png"}, 0)


# Folders alone: what a zip cannot hold


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def circular(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("make", [dangling, circular, os.mkfifo])
@pytest.mark.parametrize("name", ["b.png", "b.txt"])
def test_what_cannot_be_opened_is_named_and_the_rest_is_taken(tmp_path, make, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(PNG)
    make(tmp_path / "mine" / name)
    note = fetch_path(tmp_path / "mine", tmp_path / "raw", picture_class="cat")
    (entry,) = note["left_out"]["files"]
    assert (entry["file"], note["files"]) == (name, ["a.png"])
    assert entry.get("unreadable", False) is (name == "b.png")  # prepare.unreadable decides what becomes of it


def test_a_name_that_is_not_utf8_becomes_one_that_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(PNG)
    Path(os.fsdecode(os.fsencode(tmp_path / "mine") + b"/\xff.png")).write_bytes(PNG)
    Path(os.fsdecode(os.fsencode(tmp_path / "mine") + b"/\xff.txt")).write_bytes(b"text")
    note = fetch_path(tmp_path / "mine", tmp_path / "raw", picture_class="cat")
    assert len(note["files"]) == 2
    assert all(name.encode() for name in note["files"])
    assert reasons(note) == {"\\xff.txt": "not a picture"}
