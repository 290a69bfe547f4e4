"""The report's numbers: the four answers on top, what limits them, and the whole table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sg3x.report.definitions import ANSWERS, BY_KEY, DATA, FEATURES, GROUPS, Metric
from sg3x.report.run import Run


def answers(runs: Sequence[Run]) -> str:
    """Cards, one a question and number: an FID and a distance of random features do not share one."""
    cards = []
    for question, keys in ANSWERS:
        for metric in (BY_KEY[key] for key in keys if any(_has(run, key) for run in runs)):
            values = "".join(f'<span class="value run{i}">{_number(run, metric)}</span>' for i, run in enumerate(runs))
            cards.append(
                f'<div class="card"><h3>{escape(question)}</h3>{values}<p><b>{escape(metric.label)}</b>, '
                f"{_aim(metric)}. {escape(metric.meaning)}</p></div>"
            )
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def caveats(runs: Sequence[Run]) -> str:
    """What limits the numbers, above them; of several runs, each is named that something is said of."""
    said: dict[str, list[str]] = {}
    for run in runs:
        if "frechet_random" in run.metrics and "fid" not in run.metrics:
            no_fid = (
                "There is no FID here: the Inception file was not given (features.inception_path), so distances are taken "
                "in the features of a fixed random network. They rank runs on the same data set and nothing else."
            )
            said.setdefault(no_fid, []).append(run.name)
        if "caveat" in run.metrics:
            said.setdefault(f"{run.metrics['caveat']}.", []).append(run.name)
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
    items = "".join(f"<li>{escape(text)}</li>" for text in lines)
    return f'<aside><h2>Read this first</h2><ul class="plain">{items}</ul></aside>' if items else ""


def numbers_table(runs: Sequence[Run]) -> str:
    """Every number that any run has, with its error and what it says; for two runs, their difference."""
    names = (
        "".join(f'<th class="run{i}">{escape(run.name)}</th>' for i, run in enumerate(runs)) if len(runs) > 1 else ""
    )
    difference = "<th>difference</th>" if len(runs) == 2 else ""
    head = f"<tr><th></th>{names}{difference}<th></th></tr>" if names else ""
    body = []
    span = len(runs) + 2 + (len(runs) == 2)
    for heading, metrics in GROUPS:
        rows = [_row(runs, metric) for metric in metrics]
        if any(rows):
            body.append(f'<tr class="group"><th colspan="{span}">{escape(heading)}</th></tr>{"".join(rows)}')
    counts = "".join(f"<p>{_counts(run, len(runs) > 1)}</p>" for run in runs)
    counts += "<p>± is one standard error over samples, the data set held fixed.</p>"
    if len(runs) == 2:
        counts += (
            "<p>Bold: beyond two standard errors. Where no error is known, or the counts differ, the difference is shown "
            "and not judged. –: not of the same kind, or taken against other data or by other features.</p>"
        )
    return f'<div class="scroll"><table class="numbers">{head}{"".join(body)}</table></div>{counts}'


def _has(run: Run, key: str) -> bool:
    return isinstance(run.metrics.get(key), int | float)


def _differ(runs: Sequence[Run], keys: Sequence[str]) -> bool:
    return len({tuple(run.metrics.get(key) for key in keys) for run in runs}) > 1


def _row(runs: Sequence[Run], metric: Metric) -> str:
    if not any(_has(run, metric.key) for run in runs):
        return ""
    cells = "".join(f"<td>{_number(run, metric)}</td>" for run in runs)
    if len(runs) == 2:
        cells += f"<td>{_difference(runs[0], runs[1], metric)}</td>"
    return (
        f"<tr><th>{escape(metric.label)}<code>{escape(metric.key)}</code></th>{cells}"
        f'<td class="meaning">{escape(metric.meaning)} <i>{_aim(metric)}.</i></td></tr>'
    )


def _aim(metric: Metric) -> str:
    if metric.better in ("lower", "higher"):
        return f"{metric.better} is better"
    return f"best {metric.better}" if "near" in metric.better else metric.better


def _number(run: Run, metric: Metric) -> str:
    if not _has(run, metric.key):
        return "–"
    error = run.metrics.get(f"{metric.key}_stderr")
    plus_minus = f' <span class="error">± {shown(float(error), 2)}</span>' if error is not None else ""
    return f"{shown(float(run.metrics[metric.key]))}{escape(metric.unit)}{plus_minus}"


def _difference(a: Run, b: Run, metric: Metric) -> str:
    """B - A where the two are of one kind, and which is better where their errors and equal counts allow to say."""
    key = metric.key
    if not (_has(a, key) and _has(b, key)) or _differ((a, b), metric.alike):
        return "–"
    delta = float(b.metrics[key]) - float(a.metrics[key])
    text = f"{'+' if delta > 0 else ''}{shown(delta)}{escape(metric.unit)}"
    error = math.hypot(*(float(run.metrics.get(f"{key}_stderr", math.nan)) for run in (a, b)))
    if math.isnan(error) or _differ((a, b), (metric.count,)) or delta == 0:
        return text
    if abs(delta) < 2 * error:
        return f'{text} <span class="error">within the error</span>'
    if metric.better not in ("lower", "higher"):
        return text
    return f"{text} <b>{'better' if (delta < 0) == (metric.better == 'lower') else 'worse'}</b>"


def _counts(run: Run, named: bool) -> str:
    m = run.metrics
    parts = [f"{m[key]} {what}" for key, what in (
        ("num_fake", "samples"), ("num_equivariance", "pictures moved for EQ"), ("num_paths", "paths"),
    ) if key in m]  # fmt: skip
    parts.insert(1, real_pictures(run))
    name = f"{escape(run.name)}: " if named else ""
    return f"{name}{', '.join(parts)}."


def real_pictures(run: Run) -> str:
    """How many pictures the numbers are taken against; reports made before mirror images were told apart say so."""
    rows, pictures = run.metrics.get("num_real", "?"), run.metrics.get("num_pictures")
    if pictures is None:
        return f"{rows} real pictures, mirror images counted"
    return f"{pictures} real pictures" if rows == pictures else f"{pictures} real pictures and their mirror images"


def shown(value: float, digits: int = 4) -> str:
    """Four significant digits, without an exponent where that reads well."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}"
        return text if "e" not in text else f"{value:.0f}"
    return f"{value:.{min(digits, 3)}g}"
