"""Measurements as pictures: power spectra, and the training images nearest to samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.render.images import enlarge
from sg3x.render.plotting import BLUE, GREY, ORANGE, new_figure, save_figure
from sg3x.render.sheets import Sheet

_GAP = 4  # pixels between pictures
_BETWEEN = 24  # and between halves of the sheet, and rows


def plot_spectrum(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Power of real pictures and samples over frequency, and their ratio, as PNG.

    Args:
        rows: as `results/spectrum.tsv`: ``periods`` per picture, ``real_db``, ``samples_db``, ``ratio_db``.
    """
    columns = {name: [float(row[name]) for row in rows] for name in ("periods", "real_db", "samples_db", "ratio_db")}
    x = columns["periods"]
    with new_figure(10, 4) as figure:
        power, ratio = figure.subplots(1, 2)
        power.plot(x, columns["real_db"], color=BLUE, label="real pictures")
        power.plot(x, columns["samples_db"], color=ORANGE, linestyle="--", label="samples")
        power.set(title="Power spectrum", ylabel="power, dB")
        power.legend()
        ratio.axhspan(-1, 1, color="#eeeeee")
        ratio.axhline(0, color=GREY, linewidth=0.8)
        ratio.plot(x, columns["ratio_db"], color=ORANGE)
        ratio.set(title="Samples over real", ylabel="dB (0: the same; below: too smooth)")
        low, high = ratio.get_ylim()
        ratio.set_ylim(min(low, -3), max(high, 3))
        for axes in (power, ratio):
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks := [2**i for i in range(12) if 2**i <= x[-1]], [str(t) for t in ticks])
            axes.minorticks_off()
            axes.set_xlabel("periods per picture (right end: one pixel black, one white)")
        save_figure(path, figure)


def neighbour_sheet(
    found: dict[str, list[dict[str, Any]]],
    sample: Callable[[int], np.ndarray],
    real: np.ndarray,
    *,
    size: int,
    ratio: float | None,
) -> np.ndarray:
    """Samples with the training images nearest to them in feature space, as uint8[H, W, 3].

    Args:
        found: as `results/neighbours.json`: {"first": [...], "closest": [...]} of {"seed", "rows", "distances"}.
        sample: the picture uint8[R, R, C] of a seed.
        real: uint8[N, R, R, C], the training array.
        size: side of a picture.
        ratio: the neighbour ratio, written above where there is one.
    """
    half = (1 + len(found["first"][0]["rows"])) * (size + _GAP) + 3 * _GAP
    sheet = Sheet(32 + 2 * half + _BETWEEN)
    sheet.words("Does it repeat its training pictures?", size=18, bold=True)
    sheet.space(2)
    said = "Samples (left of each row) and the training pictures nearest to them in feature space, with the distance."
    if ratio is not None:
        said += (
            f" Neighbour ratio {ratio:.2f}: samples lie that many times as far from the training pictures as these from "
            "each other; copies would give 0."
        )
    sheet.words(said, size=13, faint=True)
    sheet.space(12)
    top = sheet.top
    for side, (key, heading) in enumerate((("first", "The first seeds"), ("closest", "The closest of all samples"))):
        left = sheet.margin + side * (half + _BETWEEN)
        sheet.label(heading, left + half // 2, top, size=15, bold=True)
        for number, entry in enumerate(found[key]):
            _add_neighbours(
                sheet, entry, sample(entry["seed"]), real, size, left, top + 28 + number * (size + _BETWEEN)
            )
    sheet.top = top + 28 + max(len(found["first"]), len(found["closest"])) * (size + _BETWEEN)
    return sheet.finish()


def _add_neighbours(
    sheet: Sheet, entry: dict[str, Any], sample: np.ndarray, real: np.ndarray, size: int, left: int, top: int
) -> None:
    """One sample and, after a gap, its neighbours, with seed and distances below."""
    sheet.picture(enlarge(sample, size), left, top)
    sheet.label(f"seed {entry['seed']}", left + size // 2, top + size + 2, size=12)
    for place, (row, distance) in enumerate(zip(entry["rows"], entry["distances"], strict=True)):
        x = left + 3 * _GAP + (place + 1) * (size + _GAP)
        sheet.picture(enlarge(np.asarray(real[row]), size), x, top)
        sheet.label(f"{distance:.3g}", x + size // 2, top + size + 2, size=12)
