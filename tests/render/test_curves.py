"""Curves are drawn from what the history file holds, to the same bytes at any time."""

import csv
import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from sg3x.render.curves import plot_curves

HISTORY = [
    {
        "kimg": i / 2,
        "loss_g": 1 + 0.1 * i,
        "loss_d": 1.3 - 0.01 * i,
        "real_sign": 0.02 * i,
        "ada_p": 0.0,
        "images_per_s": 20,
    }
    for i in range(20)
]
SCORES = [{"kimg": 4, "fid": 90.0}, {"kimg": 8, "fid": 40.5}]


def draw(path, history=HISTORY, scores=SCORES, name="fid") -> bytes:
    plot_curves(path, history, scores, score_name=name)
    return path.read_bytes()


def test_same_bytes_at_another_time(tmp_path):
    first = draw(tmp_path / "a.png")
    time.sleep(1.1)
    assert draw(tmp_path / "new" / "b.png") == first


def test_no_library_version_or_time_in_the_file(tmp_path):
    content = draw(tmp_path / "a.png")
    assert b"matplotlib" not in content.lower() and b"tEXt" not in content and b"tIME" not in content


def test_rows_of_a_tsv_are_drawn_as_numbers_would_be(tmp_path):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(HISTORY[0]), delimiter="\t")
    writer.writeheader()
    writer.writerows(HISTORY)
    rows = list(csv.DictReader(io.StringIO(text.getvalue()), delimiter="\t"))
    assert draw(tmp_path / "a.png", rows) == draw(tmp_path / "b.png")


def test_every_column_is_in_the_picture(tmp_path):
    whole = draw(tmp_path / "whole.png")
    for column in ("loss_d", "real_sign", "ada_p"):
        without = [{key: value for key, value in row.items() if key != column} for row in HISTORY]
        assert draw(tmp_path / "without.png", without) != whole
    assert draw(tmp_path / "without.png", scores=SCORES[:1]) != whole


def test_a_history_without_times_makes_a_figure_without_speed(tmp_path):
    untimed = [{key: value for key, value in row.items() if key != "images_per_s"} for row in HISTORY]
    draw(tmp_path / "a.png", untimed)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 3 * image.height
        assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.parametrize(
    ("history", "scores"), [([], []), (HISTORY[:1], SCORES[:1]), (HISTORY, [{"kimg": 4, "fid": ""}])]
)
def test_little_or_nothing_to_draw_is_no_error(history, scores, tmp_path):
    assert draw(tmp_path / "a.png", history, scores)


def test_a_row_that_cannot_be_drawn_is_named(tmp_path):
    with pytest.raises(ValueError, match="row 0 has no 'kimg'"):
        draw(tmp_path / "a.png", [{"loss_g": 1.0}])
    with pytest.raises(ValueError, match="loss_g of row 0 is 'high'"):
        draw(tmp_path / "a.png", [{"kimg": 1, "loss_g": "high"}])


def test_matplotlib_is_loaded_only_to_draw_and_never_needs_a_screen(tmp_path):
    program = "import sys, sg3x.render.curves as c; assert 'matplotlib' not in sys.modules; import matplotlib.pyplot"
    program += "; from pathlib import Path; c.plot_curves(Path(sys.argv[1]), [], [], score_name='fid')"
    environment = os.environ | {"DISPLAY": ""}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.png")], check=True, env=environment)
