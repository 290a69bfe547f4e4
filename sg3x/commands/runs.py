"""`sg3x runs`: unfinished training segments, read from their scratch directories; DVC and its lock are left alone."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text


class _Said(BaseModel):
    """The shown part of a trainer's progress file; other keys are passed on as they are."""

    model_config = ConfigDict(extra="allow", strict=True)

    pid: int
    kimg: str
    end_kimg: int
    out: str
    state: str
    images_per_s: FiniteFloat = 0.0
    eta_s: FiniteFloat = 0.0
    phases: dict[str, FiniteFloat] = {}
    loss_g: str = "-"
    loss_d: str = "-"
    real_sign: str = "-"
    ada_p: str = "-"
    warning: str = ""


def runs(
    scratch: Annotated[Path, typer.Option(help="where unfinished segments live", envvar="SG3X_SCRATCH")] = Path(
        "scratch"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, one object per segment")] = False,
) -> None:
    """Unfinished training segments: how far, how fast, where the time goes, and whether a trainer is at work."""
    found = unfinished(scratch)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    columns = ("segment", "kimg", "img/s", "time left", "saved", "time goes to", "G", "D", "sign(D(real))", "p")
    table = Table()
    for name in (*columns, "trainer", "scratch"):
        table.add_column(name, overflow="fold", no_wrap=name == "kimg")
    for run in found:
        table.add_row(*_cells(run))
    nothing = Text(_plain(f"no unfinished segment in {scratch}"))
    Console(width=None if os.isatty(1) else 200).print(table if found else nothing)


def unfinished(scratch: Path) -> list[dict[str, Any]]:
    """The last progress file of every segment in `scratch`, with `running`, `saved_kimg` and `saved_age_s` added.

    `damaged`, with a reason, is all there is of one whose file is not what a trainer writes.
    """
    from sg3x.training.run.scratch import FINISHED, nimg_of, progress_checkpoints  # brings JAX

    found = []
    for file in sorted(scratch.glob("[!.]*/progress.json")):  # with a dot: being removed
        saved: dict[str, Any] = {"saved_kimg": None, "saved_age_s": None}
        try:
            if kept := progress_checkpoints(file.parent):
                saved["saved_kimg"] = (nimg_of(kept[-1]) or 0) / 1000
                saved["saved_age_s"] = max(round(time.time() - kept[-1].stat().st_mtime), 0)
            said = _Said.model_validate_json(file.read_bytes()).model_dump(exclude_unset=True)
        except FileNotFoundError:  # it ended while we looked
            continue
        except (OSError, ValueError) as error:
            found.append({"damaged": _reason(error), **saved, "running": False, "scratch": str(file.parent)})
            continue
        finished = (file.parent / FINISHED).exists()
        running = is_trainer(said["pid"])
        found.append({**said, **saved, "running": running, "finished": finished, "scratch": str(file.parent)})
    return found


def _reason(error: Exception) -> str:
    """The wrong key and its fault, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return ": ".join(filter(None, [".".join(map(str, first["loc"])), str(first["msg"])]))
    return str(error)


def is_trainer(pid: int) -> bool:
    """True if that process is a training stage: the number may be somebody else's by now."""
    try:
        return b"stages.train" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _cells(run: dict[str, Any]) -> list[Text]:
    """Texts, not markup: a path may have brackets."""
    saved = "-" if run["saved_kimg"] is None else f"{run['saved_kimg']:g} kimg, {_age(run['saved_age_s'])} ago"
    if "damaged" in run:
        what = f"progress.json is not what a trainer writes ({run['damaged']})"
        return [Text(_plain(cell)) for cell in (*["-"] * 4, saved, *["-"] * 5, what, run["scratch"])]
    shares = run.get("phases", {})
    phases = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.005)
    left = f"{run['eta_s'] / 60:.0f} min" if run["running"] and "eta_s" in run else "-"
    state = f"{run['state']}, process {run['pid']}" if run["running"] else "stopped: dvc repro goes on"
    if run["finished"] and not run["running"]:
        state = "finished: kept until the next stage has begun (dvc repro)"
    warning = f"; {run['warning']}" if run.get("warning") else ""
    numbers = [run.get(key, "-") for key in ("loss_g", "loss_d", "real_sign", "ada_p")]
    rate = str(run.get("images_per_s", "-"))
    return [Text(_plain(cell)) for cell in (
        run["out"], f"{run['kimg']} / {run['end_kimg']}", rate, left, saved, phases or "-", *numbers, state + warning,
        run["scratch"],
    )]  # fmt: skip


def _plain(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
