"""The report as one HTML file: opens from disk, needs nothing else, and reads on a phone.

One run or several side by side: every section is written for a list of runs. The same runs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from sg3x.report.figures import FIRST, REST, Figure
from sg3x.report.media import data_uri
from sg3x.report.numbers import answers, caveats, numbers_table, real_pictures
from sg3x.report.run import Run
from sg3x.report.style import STYLE


def page(runs: Sequence[Run], *, title: str) -> str:
    """The whole HTML document of one run, or of several side by side."""
    sections = [
        _header(runs, title),
        answers(runs),
        caveats(runs),
        *(_figure(runs, figure) for figure in FIRST),
        _section("Numbers", numbers_table(runs), "numbers"),
        *(_figure(runs, figure) for figure in REST),
        _section("Lineage", _lineage(runs), "lineage"),
        _section("Parameters", _params(runs), "params"),
        "<footer>Made by sg3x. Every number is defined in docs/metrics.md.</footer>",
    ]
    body = "\n".join(section for section in sections if section)
    kind = "one" if len(runs) == 1 else "many"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f'<body class="{kind}">\n<main>\n{body}\n</main>\n</body>\n</html>\n'
    )


def _section(heading: str, content: str, name: str) -> str:
    return f'<section id="{name}">\n<h2>{escape(heading)}</h2>\n{content}\n</section>'


def _header(runs: Sequence[Run], title: str) -> str:
    if len(runs) == 1:
        return f"<header><h1>{escape(title)}</h1><p>{_summary(runs[0])}</p></header>"
    lines = "".join(f'<li><b class="run{i}">{escape(run.name)}</b> {_summary(run)}</li>' for i, run in enumerate(runs))
    return f'<header><h1>{escape(title)}</h1><ul class="plain">{lines}</ul></header>'


def _summary(run: Run) -> str:
    p = run.params
    side, kimg = p.get("resolution", "?"), p.get("total_kimg", "?")
    return (
        f"StyleGAN3-{escape(str(p.get('generator.config', '?')))}, {side}×{side} pixels, {kimg} thousand pictures seen, "
        f"on {real_pictures(run)} ({escape(str(p.get('fetch.source', '?')))})."
    )


def _figure(runs: Sequence[Run], figure: Figure) -> str:
    """A picture or film of every run beside each other; nothing where no run has it."""
    if not any(figure.path in run.pictures for run in runs):
        return ""
    cells = []
    for index, run in enumerate(runs):
        label = f'<figcaption class="run{index}">{escape(run.name)}</figcaption>' if len(runs) > 1 else ""
        cells.append(f"<figure>{label}{_medium(run, figure)}</figure>")
    text = f"<p>{escape(figure.caption)}</p>" if figure.caption else ""
    name = figure.path.rpartition("/")[2].partition(".")[0]
    return _section(figure.heading, f'{text}<div class="columns">{"".join(cells)}</div>', f"figure-{name}")


def _medium(run: Run, figure: Figure) -> str:
    content = run.pictures.get(figure.path)
    if content is None:
        return '<p class="missing">This run has none.</p>'
    uri = data_uri(figure.path, content)
    if figure.path.endswith(".mp4"):
        return f'<video src="{uri}" autoplay muted loop playsinline controls></video>'
    return f'<img src="{uri}" alt="{escape(figure.alternative)}">'


def _lineage(runs: Sequence[Run]) -> str:
    """What made the model, by content: the data, every checkpoint of the chain, the weights."""
    parts = []
    for index, run in enumerate(runs):
        heading = f'<h3 class="run{index}">{escape(run.name)}</h3>' if len(runs) > 1 else ""
        rows = "".join(
            f"<tr><th>{escape(what)}</th><td><code>{escape(value)}</code></td></tr>" for what, value in _facts(run)
        )
        parts.append(f'<div>{heading}<div class="scroll"><table class="facts">{rows}</table></div></div>')
    note = (
        "<p>Hashes of content, not of commits: the report is itself a tracked output, and one that named its commit "
        "would change with every commit and never be reproduced. <code>sg3x compare</code> adds commits and DVC's md5 "
        "sums.</p>"
        if len(runs) == 1
        else ""
    )
    return f'{note}<div class="columns">{"".join(parts)}</div>'


def _facts(run: Run) -> list[tuple[str, str]]:
    m = run.metrics
    found = [*run.provenance, ("data, sha256 of the array", str(m.get("dataset_fingerprint", "unknown")))]
    if run.start:
        origin = str(run.start.get("init_from", "unknown"))
        of = f", sha256 {run.start['init_sha256']}" if "init_sha256" in run.start else ""
        found += [("training starts from", origin + of), _hash("checkpoint 0", run.start.get("checkpoint_sha256"))]
    for segment in run.segments:
        what = f"segment {segment['start']} → {segment['end']} kimg, checkpoint"
        found.append(_hash(what, segment.get("checkpoint_sha256")))
    found.append(_hash("generator, weights", m.get("model_sha256")))
    extractor = str(m.get("extractor", "unknown")) + (
        f", sha256 {m['extractor_sha256']}" if "extractor_sha256" in m else ""
    )
    return [*found, ("features by", extractor), ("resized by", str(m.get("resize", "unknown")))]


def _hash(what: str, sha256: object) -> tuple[str, str]:
    """Reports once kept the first 16 digits only."""
    text = str(sha256 or "unknown")
    return f"{what}, sha256{' begins' if len(text) == 16 else ''}", text


def _params(runs: Sequence[Run]) -> str:
    """All parameters; where runs differ, those keys first and open."""
    keys = list(dict.fromkeys(key for run in runs for key in run.params))
    differing = [key for key in keys if len({repr(run.params.get(key)) for run in runs}) > 1]
    found = ""
    if len(runs) > 1:
        found = _params_table(runs, differing) if differing else "<p>All parameters are the same.</p>"
    summary = "All parameters" if len(runs) > 1 else "params.yaml"
    opened = "" if len(runs) > 1 else " open"
    return f"{found}<details{opened}><summary>{summary}</summary>{_params_table(runs, keys)}</details>"


def _params_table(runs: Sequence[Run], keys: Sequence[str]) -> str:
    def cell(value: Any) -> str:
        return "" if value is None else escape(str(value).lower() if isinstance(value, bool) else str(value))

    head = "".join(f'<th class="run{i}">{escape(run.name)}</th>' for i, run in enumerate(runs)) if len(runs) > 1 else ""
    head = f"<tr><th></th>{head}</tr>" if head else ""
    rows = "".join(
        f"<tr><th>{escape(key)}</th>{''.join(f'<td>{cell(run.params.get(key))}</td>' for run in runs)}</tr>"
        for key in keys
    )
    return f'<div class="scroll"><table class="params">{head}{rows}</table></div>'
