"""The report as one HTML file: opens from disk, needs nothing else, and reads on a phone.

One run or several side by side: every section is written for a list of runs. The same runs give the same bytes.

Whatever a run's files hold reaches the page through `templates/page.html` with autoescape; no HTML is made in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from sg3x.files.terminal import without_passwords
from sg3x.report.figures import FIRST, REST, Figure
from sg3x.report.media import data_uri
from sg3x.report.numbers import cards, caveats, counts, groups, real_pictures
from sg3x.report.run import Run, words


def page(runs: Sequence[Run], *, title: str) -> str:
    """The whole HTML document of one run, or of several side by side."""
    keys = list(dict.fromkeys(key for run in runs for key in run.params))
    differing = [key for key in keys if len({repr(run.params.get(key)) for run in runs}) > 1]
    html = _template().render(
        title=title,
        runs=[_RunView(run.name, _summary(run), counts(run), _facts(run)) for run in runs],
        cards=cards(runs),
        caveats=caveats(runs),
        groups=groups(runs),
        first_figures=_figures(runs, FIRST),
        other_figures=_figures(runs, REST),
        params=_params(runs, keys),
        differing=_params(runs, differing),
    )
    return html.encode(errors="replace").decode()  # JSON may hold half a surrogate pair


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("sg3x.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("page.html")


@dataclass(frozen=True)
class _RunView:
    """One run's lines of text."""

    name: str
    summary: str
    counts: str
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class _FigureView:
    """A picture or film of every run beside each other; a run without it has None."""

    name: str
    heading: str
    caption: str
    alternative: str
    is_film: bool
    uris: list[str | None]


def _figures(runs: Sequence[Run], figures: Sequence[Figure]) -> list[_FigureView]:
    """Those of the figures that any run has."""
    found = []
    for figure in figures:
        contents = [run.pictures.get(figure.path) for run in runs]
        if any(content is not None for content in contents):
            uris = [None if content is None else data_uri(figure.path, content) for content in contents]
            name = figure.path.rpartition("/")[2].partition(".")[0]
            is_film = figure.path.endswith(".mp4")
            found.append(_FigureView(name, figure.heading, figure.caption, figure.alternative, is_film, uris))
    return found


def _summary(run: Run) -> str:
    config, side, kimg, source = (
        words(run.params.get(key, "?")) for key in ("generator.config", "resolution", "total_kimg", "fetch.source")
    )
    return (
        f"StyleGAN3-{config}, {side}×{side} pixels, {kimg} thousand pictures seen, on {real_pictures(run)} ({source})."
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    """Origin of the model, by content: the data, every checkpoint of the chain, the weights."""
    m = run.metrics
    found = [*run.provenance, ("data, sha256 of the array", words(m.get("dataset_fingerprint", "unknown")))]
    if run.start:
        origin = words(run.start.get("init_from", "unknown"))
        of = f", sha256 {words(run.start['init_sha256'])}" if "init_sha256" in run.start else ""
        found += [("training starts from", origin + of), _hash("checkpoint 0", run.start.get("checkpoint_sha256"))]
    for segment in run.segments:
        what = f"segment {words(segment['start'])} → {words(segment['end'])} kimg, checkpoint"
        found.append(_hash(what, segment.get("checkpoint_sha256")))
    found.append(_hash("generator, weights", m.get("model_sha256")))
    extractor = words(m.get("extractor", "unknown"))
    if "extractor_sha256" in m:
        extractor += f", sha256 {words(m['extractor_sha256'])}"
    return [*found, ("features by", extractor), ("resized by", words(m.get("resize", "unknown")))]


def _hash(what: str, sha256: object) -> tuple[str, str]:
    """Reports once kept the first 16 digits only."""
    text = words(sha256 or "unknown")
    return f"{what}, sha256{' begins' if len(text) == 16 else ''}", text


def _params(runs: Sequence[Run], keys: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each key with every run's value as params.yaml has it; a password in a URL is not shown."""

    def cell(value: Any) -> str:
        return "" if value is None else without_passwords(words(value))

    return [(key, [cell(run.params.get(key)) for run in runs]) for key in keys]
