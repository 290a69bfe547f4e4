"""The curves of a training run as one PNG, readable without a browser or the internet."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sg3x.files.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, told apart by all common kinds of colour vision.
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#555555"

_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the letters are the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}

Row = dict[str, Any]


def plot_curves(path: Path, history: Sequence[Row], scores: Sequence[Row], *, score_name: str) -> None:
    """Draws losses, discriminator's confidence and augmentation, score, and speed if recorded, over training, as PNG.

    Args:
        path: the file.
        history: rows with ``kimg`` (thousand images seen) and any of ``loss_g``, ``loss_d``, ``real_sign``, ``ada_p``,
            ``images_per_s``; strings as `csv` reads them are taken as numbers, "" and missing as gaps.
        scores: rows with ``kimg`` and ``score_name``, one per segment.
        score_name: "fid" or "frechet_random".

    Raises:
        ValueError: if a row has no ``kimg``, or a value is no number.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        # Speed differs from run to run: a history that is to be the same bytes leaves it out, and the figure with it.
        timed = any(row.get("images_per_s") not in (None, "") for row in history)
        figure = Figure(figsize=(10, 6.4) if timed else (13, 3.8), layout="constrained")
        FigureCanvasAgg(figure)
        losses, signs, *speed, score = figure.subplots(2 if timed else 1, 2 if timed else 3).flat
        _lines(losses, history, [("loss_g", "generator", _BLUE), ("loss_d", "discriminator", _ORANGE)])
        losses.set(title="Loss", ylabel="logistic loss")
        _lines(signs, history, [("real_sign", "sign of D(real)", _GREEN), ("ada_p", "augmentation p", _PURPLE)])
        signs.set(title="Overfitting and augmentation", ylabel="mean sign, probability")
        for axes in speed:
            _lines(axes, history, [("images_per_s", "", _GREY)])
            axes.set(title="Speed", ylabel="images per second")
            axes.set_ylim(bottom=0)
        _draw_score(score, scores, score_name)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    atomic_write(Path(path), content.getvalue())


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
        axes.text(0.5, 0.5, "nothing recorded", ha="center", va="center", transform=axes.transAxes, color=_GREY)
    axes.set_xlabel("thousand images")


def _draw_score(axes: Axes, scores: Sequence[Row], name: str) -> None:
    """The score per segment, its last and best value written beside the points."""
    _lines(axes, scores, [(name, "", _BLUE)])
    axes.set(title=_title(name), ylabel=f"{name} (lower is better)")
    x, y = _column(scores, "kimg", required=True), _column(scores, name)
    points = [(a, b) for a, b in zip(x, y, strict=True) if not math.isnan(b)]
    if not points:
        return
    axes.plot(*zip(*points, strict=True), "o", color=_BLUE, markersize=5)
    for point in {points[-1], min(points, key=lambda p: p[1])}:
        axes.annotate(f"{point[1]:.4g}", point, textcoords="offset points", xytext=(0, 7), ha="center", color=_BLUE)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08, y=0.18)


def _title(name: str) -> str:
    return {"fid": "FID", "frechet_random": "Fréchet distance, random features (not FID)"}.get(name, name)


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
