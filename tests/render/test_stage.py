"""The generate stage writes pictures as they are drawn, in the bytes that it always wrote."""

import io

import numpy as np
import pytest

from sg3x.render.images import save_png
from stages.generate import _write_array, _write_pngs

PICTURES = np.random.RandomState(0).randint(0, 256, (7, 5, 4, 3)).astype(np.uint8)


def batches(asked):
    for start in range(0, len(PICTURES), 3):
        asked.append(start)
        yield PICTURES[start : start + 3]


def test_the_array_is_what_numpy_saves(tmp_path):
    asked: list[int] = []
    counts = []
    for done in _write_array(tmp_path, range(7), batches(asked)):
        counts.append((done, len(asked)))
    assert counts == [(3, 1), (6, 2), (7, 3)]  # a batch is written before the next is drawn
    content = io.BytesIO()
    np.save(content, PICTURES, allow_pickle=False)
    assert (tmp_path / "samples.npy").read_bytes() == content.getvalue()


def test_pictures_are_written_as_they_come(tmp_path):
    asked: list[int] = []
    for done in _write_pngs(tmp_path, range(4, 11), batches(asked)):
        assert len(list(tmp_path.iterdir())) == done and len(asked) == -(-done // 3)
    save_png(tmp_path / "x.png", PICTURES[6])
    assert (tmp_path / "seed00010.png").read_bytes() == (tmp_path / "x.png").read_bytes()


@pytest.mark.parametrize("write", [_write_array, _write_pngs])
def test_fewer_than_asked_for_is_an_error(tmp_path, write):
    with pytest.raises((RuntimeError, ValueError)):
        list(write(tmp_path, range(8), batches([])))
