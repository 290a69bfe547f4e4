"""The history of a run: one row per `log_kimg`, from sums that are part of the train state, with warnings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from sg3x.files.tables import Rows
from sg3x.training.objective.statistics import R1_STATISTICS, STATISTICS

WINNING_ROWS, WINNING_SIGN = 10, 0.95
P_CEILING = 0.85
RISING_ROWS, RISING_FROM = 20, 0.5


def history_row(totals: dict[str, Any], p: float, nimg: int, before: Rows) -> dict[str, str]:
    """One row: means since the last one, ADA's p, and `warning`, a function of this row and those before it."""
    steps, r1_steps = float(totals["steps"]), float(totals["r1_steps"])
    values = {name: float(totals[name]) / steps for name in STATISTICS}
    values |= {name: float(totals[name]) / r1_steps if r1_steps else float("nan") for name in R1_STATISTICS}
    cells = {name: "" if np.isnan(value) else f"{value:.6g}" for name, value in values.items()}
    row = {"kimg": f"{nimg / 1000:.3f}", **cells, "ada_p": f"{p:.6g}"}
    return {**row, "warning": divergence([*before[-RISING_ROWS:], row])}


def divergence(rows: Rows) -> str:
    """What is going wrong at the end of these rows, in a few words; "" while nothing is.

    * D wins outright: for 10 rows it has been sure of nearly every real and every generated picture.
    * p at its ceiling: above 0.85 ADA's augmentations show in the generated pictures, and more do not help.
    * p rises without end: higher in each of 20 rows, and above 0.5.
    """
    last = rows[-WINNING_ROWS:]
    if len(last) == WINNING_ROWS and all(_sure(row) for row in last):
        return "D wins outright"
    p = [float(row["ada_p"]) for row in rows[-RISING_ROWS - 1 :]]
    if p[-1] > P_CEILING:
        return "p at its ceiling"
    if len(p) > RISING_ROWS and p[-1] > RISING_FROM and all(a < b for a, b in pairwise(p)):
        return "p rises without end"
    return ""


ADVICE = {
    "D wins outright": "raise r1_gamma (twice, four times), or augment: bgc if it is none",
    "p at its ceiling": "there are too few pictures for this many kimg: stop at the best score so far, or add pictures",
    "p rises without end": "there are few pictures for this network: watch the score of each segment, and stop at the best",
}


def _sure(row: dict[str, str]) -> bool:
    return float(row["real_sign"]) > WINNING_SIGN and float(row["fake_sign"]) < -WINNING_SIGN
