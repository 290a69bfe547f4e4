"""The curves of a training run as one PNG, readable without a browser or the internet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sg3x.render.plotting import BLUE, GREEN, GREY, ORANGE, PURPLE, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
KERNELS = {"fid": "kid", "frechet_random": "kernel_random"}  # drawn beside the Fréchet distance of the same features


def plot_curves(
    path: Path, history: Sequence[Row], scores: Sequence[Row], quality: Sequence[Row] = (), *, score_name: str
) -> None:
    """Draws losses, discriminator's confidence and augmentation, score, and speed if recorded, over training, as PNG.

    Args:
        path: the file.
        history: rows with ``kimg`` (thousand images seen) and any of ``loss_g``, ``loss_d``, ``real_sign``, ``ada_p``,
            ``images_per_s``; strings as `csv` reads them are taken as numbers, "" and missing as gaps.
        scores: rows with ``kimg`` and ``score_name``, one per segment; drawn with ``score_name_stderr`` as error bars,
            and beside it the kernel distance where they have it.
        quality: rows with ``kimg`` and ``score_name``, measured while a segment trained: a thin line beside the scores.
        score_name: "fid" or "frechet_random".

    Raises:
        ValueError: if a row has no ``kimg``, or a value is no number.
    """
    # Speed differs from run to run: a history that is to be the same bytes leaves it out, and the figure with it.
    timed = any(row.get("images_per_s") not in (None, "") for row in history)
    kernel = KERNELS.get(score_name, "")
    measured = [name for name in (score_name, kernel) if name == score_name or any(name in row for row in scores)]
    panels = 2 + timed + len(measured)
    with new_figure(13, 3.8) if panels == 3 else new_figure(10 if panels == 4 else 13, 6.4) as figure:
        losses, signs, *rest = figure.subplots(1 if panels == 3 else 2, 2 if panels == 4 else 3).flat
        _lines(losses, history, [("loss_g", "generator", BLUE), ("loss_d", "discriminator", ORANGE)])
        losses.set(title="Loss", ylabel="logistic loss")
        _lines(signs, history, [("real_sign", "sign of D(real)", GREEN), ("ada_p", "augmentation p", PURPLE)])
        signs.set(title="Overfitting and augmentation", ylabel="mean sign, probability")
        if timed:
            speed = rest.pop(0)
            _lines(speed, history, [("images_per_s", "", GREY)])
            speed.set(title="Speed", ylabel="images per second")
            speed.set_ylim(bottom=0)
        for name, axes in zip(measured, rest, strict=False):
            _draw_score(axes, scores, name, quality if name == score_name else ())
        for axes in rest[len(measured) :]:
            axes.set_axis_off()
        save_figure(path, figure)


def _lines(axes: Axes, rows: Sequence[Row], curves: Sequence[tuple[str, str, str]]) -> None:
    """One line per (column, label, colour); columns that hold nothing are left out, and an empty panel says so."""
    x = _column(rows, "kimg", required=True)
    drawn = 0
    for column, label, colour in curves:
        y = _column(rows, column)
        if all(map(math.isnan, y)):
            continue
        axes.plot(x, y, color=colour, label=label, marker="o" if len(x) < 3 else None, markersize=3)
        drawn += 1
    if drawn > 1:
        axes.legend(loc="best")
    if drawn == 0:
        axes.text(0.5, 0.5, "nothing recorded", ha="center", va="center", transform=axes.transAxes, color=GREY)
    axes.set_xlabel("thousand images")


def _draw_score(axes: Axes, scores: Sequence[Row], name: str, quality: Sequence[Row]) -> None:
    """The score per segment, its last and best value written beside the points; what was measured in between."""
    _lines(axes, scores, [(name, "", BLUE)])
    if quality:
        x, y = _column(quality, "kimg", required=True), _column(quality, name)
        axes.plot(x, y, ".-", color=GREY, linewidth=0.8, markersize=3, label="during training", zorder=1)
        axes.legend(loc="best")
    axes.set(title=_title(name), ylabel=f"{name} (lower is better)")
    x, y = _column(scores, "kimg", required=True), _column(scores, name)
    points = [(a, b) for a, b in zip(x, y, strict=True) if not math.isnan(b)]
    if not points:
        return
    axes.plot(*zip(*points, strict=True), "o", color=BLUE, markersize=5)
    errors = [0.0 if math.isnan(e) else e for e in _column(scores, f"{name}_stderr")]
    axes.errorbar(x, y, yerr=errors, fmt="none", ecolor=BLUE, capsize=4)
    for point in {points[-1], min(points, key=lambda p: p[1])}:
        axes.annotate(f"{point[1]:.4g}", point, textcoords="offset points", xytext=(0, 7), ha="center", color=BLUE)
    drawn = [p[1] for p in points] + [y for y in _column(quality, name) if not math.isnan(y)]
    lowest, highest = min(0.0, *drawn), max(drawn)
    axes.set_ylim(1.2 * lowest, 1.2 * highest if highest > 0 else None)  # room for the numbers beside the points
    axes.margins(x=0.08)


def _title(name: str) -> str:
    titles = {
        "fid": "FID",
        "frechet_random": "Fréchet distance, random features (not FID)",
        "kid": "KID",
        "kernel_random": "Kernel distance, random features (not KID)",
    }
    return titles.get(name, name)


def _column(rows: Sequence[Row], name: str, *, required: bool = False) -> list[float]:
    """The column as floats, NaN where a row has none."""
    values = []
    for number, row in enumerate(rows):
        value = row.get(name)
        if value in (None, ""):
            if required:
                raise ValueError(f"row {number} has no {name!r}; it has {sorted(row)}")
            value = "nan"
        try:
            values.append(float(value))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} of row {number} is {value!r}; allowed is a number") from error
    return values
