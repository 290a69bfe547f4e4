"""What a report is made of: the files of one run, from a folder or from a git revision."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from sg3x.files.nested import flat

Read = Callable[[str], bytes | None]
"""Path below the project's root -> content, None where there is no such file."""

PICTURES = (
    "results/samples.png", "results/curves.png", "results/walk.mp4", "results/figures/truncation.png",
    "results/figures/mixing.png", "results/figures/walks.mp4", "results/figures/sticking.png",
    "results/figures/motion.mp4", "results/figures/spectrum.png", "results/figures/neighbours.png",
)  # fmt: skip


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
        pictures: contents of those of `PICTURES` that are there.
        provenance: (what, value) known only outside the run: git commit, DVC's md5 sums.
    """

    name: str
    metrics: dict[str, Any]
    segments: list[dict[str, Any]]
    params: dict[str, Any]
    pictures: dict[str, bytes]
    provenance: list[tuple[str, str]] = field(default_factory=list)


def load_run(name: str, read: Read, provenance: list[tuple[str, str]] | None = None) -> Run:
    """The run whose files `read` gives.

    Raises:
        RunError: if there is no params.yaml or no results/metrics.json, or one is damaged.
    """
    try:
        values = YAML(typ="safe", pure=True).load(_required(name, "params.yaml", read).decode())
        metrics = json.loads(_required(name, "results/metrics.json", read))
        segments = _segments(values.get("segments", {}), read)
    except (YAMLError, ValueError, AttributeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{name}: params.yaml or a file in results/ is damaged: {error}") from error
    pictures = {path: content for path in PICTURES if (content := read(path)) is not None}
    return Run(name, metrics, segments, flat(values), pictures, provenance or [])


def _required(name: str, path: str, read: Read) -> bytes:
    content = read(path)
    if content is None:
        raise RunError(f"{name} has no {path}: a run has one after `dvc repro`, and a revision once that is committed")
    return content


def _segments(chain: dict[str, int], read: Read) -> list[dict[str, Any]]:
    found = []
    for end in sorted(chain, key=int):
        content = read(f"results/segments/{end}.json")
        scores = {} if content is None else json.loads(content)
        found.append({"end": end, "start": chain[end], **scores})
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


def git(repository: Path, *arguments: str) -> bytes | None:
    """What git prints, or None where it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=False)
    except FileNotFoundError:
        raise RunError("git is not installed, and compares of revisions need it") from None
    return done.stdout if done.returncode == 0 else None
