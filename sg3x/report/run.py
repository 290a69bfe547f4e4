"""Contents of a report: the files of one run, from a folder or from a git revision."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sg3x.files.nested import flat
from sg3x.files.yaml12 import parse_yaml
from sg3x.report.figures import FIGURES

Read = Callable[[str], bytes | None]
"""Path below the project's root -> content, None where there is no such file."""


class RunError(ValueError):
    """There is no run at the place named; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Run:
    """One run's results.

    Attributes:
        name: heads its column.
        metrics: results/metrics.json.
        segments: results/segments/*.json in order of kimg, each with "end" and "start" added.
        params: params.yaml, as plain values by dotted key.
        pictures: contents of those of `sg3x.report.figures` that are there, by path.
        start: what training started from: "checkpoint_sha256" of checkpoint 0, "init_from" and, if that is a file, its
            "init_sha256"; empty for runs that did not write it down.
        provenance: (what, value) known only outside the run: git commit, DVC's md5 sums.
    """

    name: str
    metrics: dict[str, Any]
    segments: list[dict[str, Any]]
    params: dict[str, Any]
    pictures: dict[str, bytes]
    start: dict[str, Any] = field(default_factory=dict)
    provenance: list[tuple[str, str]] = field(default_factory=list)


def words(value: object) -> str:
    """A value of a run's files as text; booleans as YAML has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_run(name: str, read: Read, provenance: list[tuple[str, str]] | None = None) -> Run:
    """The run whose files `read` gives.

    Raises:
        RunError: if there is no params.yaml or no results/metrics.json, or one is damaged.
    """
    params = parsed(name, "params.yaml", _required(name, "params.yaml", read))
    metrics = parsed(name, "results/metrics.json", _required(name, "results/metrics.json", read))
    segments = _segments(name, params.get("segments", {}), read)
    start_file = "results/segments/0.json"
    content = read(start_file)
    start = {} if content is None else parsed(name, start_file, content)
    pictures = {figure.path: content for figure in FIGURES if (content := read(figure.path)) is not None}
    return Run(name, metrics, segments, flat(params), pictures, start, provenance or [])


def parsed(name: str, path: str, content: bytes) -> dict[str, Any]:
    """The keys and values of a YAML or JSON file of a run.

    Raises:
        RunError: not UTF-8, neither YAML nor JSON, nested too deeply, or no keys and values; the message names the file.
    """
    try:
        text = content.decode()
        values = json.loads(text) if path.endswith(".json") else parse_yaml(text)
        repr(values)  # what is nested too deeply to be shown is found here
    except UnicodeDecodeError as error:
        raise RunError(f"{name}: {path} is damaged: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise RunError(f"{name}: {path} is damaged: nested too deeply") from error
    except ValueError as error:
        raise RunError(f"{name}: {path} is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise RunError(f"{name}: {path} is damaged: it must hold keys and values, and is {_kind(values)}")
    return {str(key): value for key, value in values.items()}


def _kind(values: object) -> str:
    return "empty" if values is None else f"a {type(values).__name__}"


def _required(name: str, path: str, read: Read) -> bytes:
    content = read(path)
    if content is None:
        raise RunError(f"{name} has no {path}: a run has one after `dvc repro`, and a revision once that is committed")
    return content


def _segments(name: str, chain: Any, read: Read) -> list[dict[str, Any]]:
    if not isinstance(chain, dict) or not all(str(end).isascii() and str(end).isdigit() for end in chain):
        raise RunError(f"{name}: params.yaml is damaged: segments must be ends and starts in kimg, as {{'100': 0}}")
    found = []
    for end in sorted(chain, key=int):
        path = f"results/segments/{end}.json"
        content = read(path)
        scores = {} if content is None else parsed(name, path, content)
        found.append({**scores, "end": end, "start": chain[end]})
    return found


def folder_reader(folder: Path) -> Read:
    """Reads the files of a checkout."""

    def read(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    return read


def revision_reader(repository: Path, commit: str) -> Read:
    """Reads files as git has them at a commit: results are committed, so nothing is checked out or pulled."""

    def read(path: str) -> bytes | None:
        return git(repository, "show", f"{commit}:./{path}")

    return read


_ABSENT = re.compile(r"not a git repository|does not exist|exists on disk, but not in|bad revision|ambiguous argument")


def git(repository: Path, *arguments: str) -> bytes | None:
    """Output of git, or None where there is no such thing.

    Raises:
        RunError: git is not installed, or has another complaint, in its own words: a repository of another owner, a
            damaged object.
    """
    english = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=False, env=english)
    except FileNotFoundError:
        raise RunError("git is not installed, and compares of revisions need it") from None
    if done.returncode == 0:
        return done.stdout
    complaint = done.stderr.decode(errors="replace").strip()
    if not complaint or _ABSENT.search(complaint):  # `rev-parse --quiet` says nothing
        return None
    raise RunError(f"git {arguments[0]} in {repository}: {complaint.splitlines()[0]}")
