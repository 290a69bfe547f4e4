"""The report's numbers: the four answers on top, what limits them, and the whole table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sg3x.report.definitions import ANSWERS, GROUPS, Metric, by_key, find
from sg3x.report.run import Run


def answers(runs: Sequence[Run]) -> str:
    """Cards, one a question."""
    cards = []
    for question, keys in ANSWERS:
        present = [find(keys, run.metrics) for run in runs]
        known = [key for key in present if key]
        if not known:
            continue
        metric = by_key(known[0])
        values = "".join(
            f'<span class="value run{i}">{_number(run, key, metric)}</span>'
            for i, (run, key) in enumerate(zip(runs, present, strict=True))
        )
        cards.append(
            f'<div class="card"><h3>{escape(question)}</h3>{values}<p><b>{escape(metric.label)}</b>, '
            f"{_aim(metric)}. {escape(metric.meaning)}</p></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def caveats(runs: Sequence[Run]) -> str:
    """What limits the numbers, above them."""
    said: list[str] = []
    for run in runs:
        if "frechet_random" in run.metrics:
            said.append(
                "There is no FID here: the Inception file was not given (features.inception_path), so distances are taken "
                "in the features of a fixed random network. They rank runs on the same data set and nothing else."
            )
        if "caveat" in run.metrics:
            said.append(f"{run.name}: {run.metrics['caveat']}." if len(runs) > 1 else f"{run.metrics['caveat']}.")
    if len({run.metrics.get("dataset_fingerprint") for run in runs}) > 1:
        said.append("These runs are of different data: distances to the real pictures cannot be compared.")
    if len({(run.metrics.get("extractor"), run.metrics.get("extractor_sha256")) for run in runs}) > 1:
        said.append("These runs were scored with different features: their distances cannot be compared.")
    if len({run.metrics.get("num_fake") for run in runs}) > 1:
        said.append("These runs were scored with different numbers of samples: fewer score worse.")
    items = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(said))
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
        counts += "<p>Bold: beyond two standard errors. Grey: the error of that number is not known.</p>"
    return f'<div class="scroll"><table class="numbers">{head}{"".join(body)}</table></div>{counts}'


def _row(runs: Sequence[Run], metric: Metric) -> str:
    keys = [find(metric.keys, run.metrics) for run in runs]
    if not any(keys):
        return ""
    name = next(key for key in keys if key)
    cells = "".join(f"<td>{_number(run, key, metric)}</td>" for run, key in zip(runs, keys, strict=True))
    if len(runs) == 2:
        cells += f"<td>{_difference(runs[0], runs[1], keys[0], keys[1], metric)}</td>"
    return (
        f"<tr><th>{escape(metric.label)}<code>{escape(name)}</code></th>{cells}"
        f'<td class="meaning">{escape(metric.meaning)} <i>{_aim(metric)}.</i></td></tr>'
    )


def _aim(metric: Metric) -> str:
    if metric.better in ("lower", "higher"):
        return f"{metric.better} is better"
    return f"best {metric.better}" if "near" in metric.better else metric.better


def _number(run: Run, key: str | None, metric: Metric) -> str:
    if key is None:
        return "–"
    error = run.metrics.get(f"{key}_stderr")
    plus_minus = f' <span class="error">± {shown(float(error), 2)}</span>' if error is not None else ""
    return f"{shown(float(run.metrics[key]))}{escape(metric.unit)}{plus_minus}"


def _difference(a: Run, b: Run, key_a: str | None, key_b: str | None, metric: Metric) -> str:
    """B - A, and which is better: bold beyond two standard errors, faint where the errors are not known."""
    if key_a is None or key_a != key_b:
        return "–"
    delta = float(b.metrics[key_a]) - float(a.metrics[key_a])
    text = f"{'+' if delta > 0 else ''}{shown(delta)}{escape(metric.unit)}"
    errors = [float(run.metrics.get(f"{key_a}_stderr", math.nan)) for run in (a, b)]
    if abs(delta) < 2 * math.hypot(*errors):  # false where an error is not known
        return f'{text} <span class="error">within the error</span>'
    if delta == 0 or metric.better not in ("lower", "higher"):
        return text
    return f"{text} <b>{'better' if (delta < 0) == (metric.better == 'lower') else 'worse'}</b>"


def _counts(run: Run, named: bool) -> str:
    m = run.metrics
    parts = [f"{m[key]} {what}" for key, what in (
        ("num_fake", "samples"), ("num_real", "real pictures, mirror images included"),
        ("num_equivariance", "pictures moved for EQ"), ("num_paths", "paths"),
    ) if key in m]  # fmt: skip
    name = f"{escape(run.name)}: " if named else ""
    return f"{name}{', '.join(parts)}."


def shown(value: float, digits: int = 4) -> str:
    """Four significant digits, without an exponent where that reads well."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}"
        return text if "e" not in text else f"{value:.0f}"
    return f"{value:.{min(digits, 3)}g}"
