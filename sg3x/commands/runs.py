"""`sg3x runs`: unfinished training segments, read from their scratch directories; DVC and its lock are left alone."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


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
    Console(width=None if os.isatty(1) else 200).print(table if found else f"no unfinished segment in {scratch}")


def unfinished(scratch: Path) -> list[dict[str, Any]]:
    """What every segment in `scratch` last said of itself, with `running`, `saved_kimg` and `saved_age_s` added."""
    found = []
    for file in sorted(scratch.glob("[!.]*/progress.json")):  # with a dot: being removed
        try:
            said = json.loads(file.read_text())
        except (OSError, ValueError):  # it ended while we looked
            continue
        newest = max(file.parent.glob("nimg-*"), default=None)
        saved: dict[str, Any] = {"saved_kimg": None, "saved_age_s": None}
        if newest is not None:
            saved["saved_kimg"] = int(newest.name.removeprefix("nimg-")) / 1000
            saved["saved_age_s"] = max(round(time.time() - newest.stat().st_mtime), 0)
        found.append({**said, **saved, "running": is_trainer(int(said["pid"])), "scratch": str(file.parent)})
    return found


def is_trainer(pid: int) -> bool:
    """Whether that process is there and is a training stage: the number may be somebody else's by now."""
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


def _cells(run: dict[str, Any]) -> list[str]:
    shares = run.get("phases", {})
    phases = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.005)
    left = f"{run['eta_s'] / 60:.0f} min" if run["running"] and "eta_s" in run else "-"
    saved = "-" if run["saved_kimg"] is None else f"{run['saved_kimg']:g} kimg, {_age(run['saved_age_s'])} ago"
    state = f"{run['state']}, process {run['pid']}" if run["running"] else "stopped: dvc repro goes on"
    warning = f"; {run['warning']}" if run.get("warning") else ""
    numbers = [run.get(key, "-") for key in ("loss_g", "loss_d", "real_sign", "ada_p")]
    rate = str(run.get("images_per_s", "-"))
    return [run["out"], f"{run['kimg']} / {run['end_kimg']}", rate, left, saved, phases or "-", *numbers,
            state + warning, run["scratch"]]  # fmt: skip


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
