"""`sg3x.data.names`: every picture gets one flat name of its own, that every file system and DVC can hold."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest

from sg3x.data.names import MOST_BYTES, choose


def told_apart(stem: str, path: str, suffix: str = ".png") -> str:
    return f"{stem}-{hashlib.sha256(path.encode()).hexdigest()[:12]}{suffix}"


NASTY = {
    "a told-apart name that is there already": ["a/b.png", "a__b.png", told_apart("a__b", "a/b.png")],
    "both told-apart names that are there already": [
        "a/b.png",
        "a__b.png",
        told_apart("a__b", "a/b.png"),
        told_apart("a__b", "a__b.png"),
        told_apart("A__B", "a__b.png", ".PNG"),
    ],
    "a joined name over 255 bytes": ["x" * 150 + "/" + "y" * 150 + ".png", "a.png"],
    "two that begin alike and are cut": ["x" * 150 + "/" + "y" * 150 + "1.png", "x" * 150 + "/" + "y" * 150 + "2.png"],
    "letters of several bytes, cut": ["猫" * 70 + "/" + "猫" * 70 + ".png", "a.png"],
    "a suffix that is longer than a name": ["a." + "b" * 250, "c.png"],
    "not UTF-8": ["\udcff.png", "a\udcff.png", "�.png"],
    "not UTF-8, but equal where it is": ["\udcff.png", "\udcfe.png"],
    "equal but for case": ["a.png", "A.png", "a.PNG"],
    "equal but for how an accent is written": ["é.png", unicodedata.normalize("NFD", "é") + ".png"],
    "equal but for how sharp s is folded": ["straße.png", "STRASSE.png"],
}


@pytest.mark.parametrize("names", NASTY.values(), ids=NASTY)
def test_every_picture_keeps_a_name_of_its_own(names):
    flat = choose(names, "cat", "mine", is_picture=lambda name: True)
    assert sorted(flat) == sorted(names)
    folded = {unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()) for name in flat.values()}
    assert len(folded) == len(names)
    assert all(len(name.encode()) <= MOST_BYTES and "/" not in name for name in flat.values())
    assert flat == choose(names[::-1], "cat", "mine", is_picture=lambda name: True)


def test_names_that_need_no_change_keep_theirs_beside_those_that_do():
    taken = told_apart("a__b", "a/b.png")
    flat = choose(["a/b.png", "a__b.png", taken, "c.png"], "cat", "mine")
    assert (flat[taken], flat["c.png"]) == (taken, "c.png")


def test_a_cut_name_keeps_its_suffix():
    flat = choose(["x" * 150 + "/" + "y" * 150 + ".jpeg", "a.png"], "cat", "mine")
    assert all(name.endswith((".jpeg", "a.png")) for name in flat.values())
