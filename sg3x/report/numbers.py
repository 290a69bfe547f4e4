"""The report's numbers, as what the page shows: the four answers on top, what limits them, and the whole table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sg3x.report.definitions import ANSWERS, BY_KEY, DATA, FEATURES, GROUPS, Metric
from sg3x.report.run import Run, words


@dataclass(frozen=True)
class Value:
    """A number with its unit, and its standard error where that is known."""

    text: str
    error: str = ""


@dataclass(frozen=True)
class Difference:
    """Run b against run a; the verdict is "better", "worse", "within the error" or nothing."""

    text: str
    verdict: str = ""


@dataclass(frozen=True)
class Card:
    """One question and number: an FID and a distance of random features do not share a card."""

    question: str
    metric: Metric
    values: list[Value]


@dataclass(frozen=True)
class Row:
    """One number of every run; of two runs, their difference too."""

    metric: Metric
    values: list[Value]
    difference: Difference | None


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    heading: str
    rows: list[Row]


def cards(runs: Sequence[Run]) -> list[Card]:
    """The answers on top of the page."""
    return [
        Card(question, BY_KEY[key], [_value(run, BY_KEY[key]) for run in runs])
        for question, keys in ANSWERS
        for key in keys
        if any(number(run, key) is not None for run in runs)
    ]


def groups(runs: Sequence[Run]) -> list[Group]:
    """Every number that any run has."""
    found = [
        Group(
            heading, [_row(runs, metric) for metric in metrics if any(number(r, metric.key) is not None for r in runs)]
        )
        for heading, metrics in GROUPS
    ]
    return [group for group in found if group.rows]


def caveats(runs: Sequence[Run]) -> list[str]:
    """Limits of the numbers; with several runs, each sentence names its run."""
    said: dict[str, list[str]] = {}
    for run in runs:
        if "frechet_random" in run.metrics and "fid" not in run.metrics:
            no_fid = (
                "There is no FID here: the Inception file was not given (features.inception_path), so distances are taken "
                "in the features of a fixed random network. They rank runs on the same data set and nothing else."
            )
            said.setdefault(no_fid, []).append(run.name)
        if "caveat" in run.metrics:
            said.setdefault(f"{words(run.metrics['caveat'])}.", []).append(run.name)
    lines = [f"{' and '.join(names)}: {text}" if len(runs) > 1 else text for text, names in said.items()]
    if _differ(runs, DATA):
        lines.append("These runs are of different data: distances to the real pictures cannot be compared.")
    if _differ(runs, FEATURES):
        lines.append("These runs were scored with different features: their distances cannot be compared.")
    if _differ(runs, ("num_fake",)):
        lines.append("These runs were scored with different numbers of samples: fewer score worse.")
    if _differ(runs, ("num_equivariance",)):
        lines.append("Different numbers of pictures were moved for EQ.")
    if _differ(runs, ("num_paths",)):
        lines.append("Path lengths are of different numbers of paths.")
    return lines


def counts(run: Run) -> str:
    """Over how many samples, pictures and paths the numbers are taken."""
    m = run.metrics
    parts = [f"{words(m[key])} {what}" for key, what in (
        ("num_fake", "samples"), ("num_equivariance", "pictures moved for EQ"), ("num_paths", "paths"),
    ) if key in m]  # fmt: skip
    parts.insert(1, real_pictures(run))
    return ", ".join(parts)


def real_pictures(run: Run) -> str:
    """Number of pictures behind the numbers; reports made before mirror images were told apart say so."""
    rows, pictures = words(run.metrics.get("num_real", "?")), run.metrics.get("num_pictures")
    if pictures is None:
        return f"{rows} real pictures, mirror images counted"
    text = f"{words(pictures)} real pictures"
    return text if rows == words(pictures) else f"{text} and their mirror images"


def number(run: Run, key: str) -> float | None:
    """The number of that key; None where there is none, or where another's file has something else in its place."""
    value = run.metrics.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def shown(value: float, digits: int = 4) -> str:
    """Four significant digits, without an exponent where that reads well."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}"
        return text if "e" not in text else f"{value:.0f}"
    return f"{value:.{min(digits, 3)}g}"


def _differ(runs: Sequence[Run], keys: Sequence[str]) -> bool:
    first = [runs[0].metrics.get(key) for key in keys]
    return any([run.metrics.get(key) for key in keys] != first for run in runs[1:])


def _row(runs: Sequence[Run], metric: Metric) -> Row:
    difference = _difference(runs[0], runs[1], metric) if len(runs) == 2 else None
    return Row(metric, [_value(run, metric) for run in runs], difference)


def _value(run: Run, metric: Metric) -> Value:
    value, error = number(run, metric.key), number(run, f"{metric.key}_stderr")
    if value is None:
        return Value("–")
    return Value(f"{shown(value)}{metric.unit}", "" if error is None else shown(error, 2))


def _difference(a: Run, b: Run, metric: Metric) -> Difference:
    """B - A where the two are of one kind, and which is better where their errors and equal counts allow to say."""
    old, new = number(a, metric.key), number(b, metric.key)
    if old is None or new is None or _differ((a, b), metric.alike):
        return Difference("–")
    delta = new - old
    text = f"{'+' if delta > 0 else ''}{shown(delta)}{metric.unit}"
    errors = [number(run, f"{metric.key}_stderr") for run in (a, b)]
    error = math.hypot(*(math.nan if e is None else e for e in errors))
    if not math.isfinite(error) or not math.isfinite(delta) or _differ((a, b), (metric.count,)) or delta == 0:
        return Difference(text)
    if abs(delta) < 2 * error:
        return Difference(text, "within the error")
    if metric.better not in ("lower", "higher"):
        return Difference(text)
    return Difference(text, "better" if (delta < 0) == (metric.better == "lower") else "worse")
