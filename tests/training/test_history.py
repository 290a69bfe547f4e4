"""Rows of the history, and the warnings they end in."""

import ast
import inspect

import numpy as np

from sg3x.training.history import ADVICE, divergence, history_row
from sg3x.training.objective.statistics import zero_statistics


def row(real: float = 0.0, fake: float = 0.0, p: float = 0.0) -> dict[str, str]:
    return {"real_sign": str(real), "fake_sign": str(fake), "ada_p": str(p)}


def test_a_row_holds_means_and_leaves_out_what_was_not_measured():
    totals = {name: np.float32(6) for name in zero_statistics()} | {"steps": np.float32(3), "r1_steps": np.float32(0)}
    found = history_row(totals, 0.25, 12_345, [])
    assert (found["kimg"], found["loss_g"], found["r1_penalty"], found["ada_p"]) == ("12.345", "2", "", "0.25")
    assert found["warning"] == ""


def test_d_wins_outright_only_after_ten_rows_in_a_row():
    sure = row(real=0.99, fake=-0.99)
    assert divergence([sure] * 9) == ""
    assert divergence([sure] * 10) == "D wins outright"
    assert divergence([*[sure] * 9, row(0.5, -0.99), sure]) == ""


def test_p_at_its_ceiling():
    assert divergence([row(p=0.85)]) == ""
    assert divergence([row(p=0.9)]) == "p at its ceiling"


def test_p_rising_without_end():
    rising = [row(p=0.4 + 0.01 * i) for i in range(21)]
    assert divergence(rising) == "p rises without end"
    assert divergence(rising[1:]) == ""  # twenty rows are nineteen rises
    assert divergence([*rising[:10], row(p=0.1), *rising[11:]]) == ""
    assert divergence([row(p=0.1 + 0.01 * i) for i in range(21)]) == ""


def test_every_warning_there_is_has_advice():
    """Those that `divergence` can return, by its code; and none is advised on that it never gives."""
    warnings = {
        node.value.value
        for node in ast.walk(ast.parse(inspect.getsource(divergence)))
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant)
    }
    assert warnings - {""} == ADVICE.keys()
