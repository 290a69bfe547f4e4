"""`load_arrays` of `sg3x.data.prepare`: what it refuses to open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sg3x.data.prepare import load_arrays, prepare_dataset


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
