"""`sg3x runs`: unfinished training segments, from another terminal and without DVC's lock."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer


def runs(
    scratch: Annotated[Path, typer.Option(help="where unfinished segments live", envvar="SG3X_SCRATCH")] = Path(
        "scratch"
    ),
) -> None:
    """Unfinished training segments: how far they are, how fast, and whether a trainer is at work."""
    from rich.console import Console
    from rich.table import Table

    table = Table("segment", "kimg", "img/s", "time left", "loss G", "loss D", "sign(D(real))", "p", "trainer")
    for file in sorted(scratch.glob("*/progress.json")):
        found = json.loads(file.read_text())
        running = _is_running(int(found["pid"]))
        minutes = f"{found['eta_s'] / 60:.0f} min" if running else "-"
        table.add_row(
            found["out"], f"{found['kimg']} / {found['end_kimg']}", f"{found['images_per_s']}", minutes,
            found["loss_g"], found["loss_d"], found["real_sign"], found["ada_p"],
            f"process {found['pid']}" if running else "stopped: dvc repro goes on",
        )  # fmt: skip
    console = Console()
    console.print(table if table.rows else f"no unfinished segment in {scratch}")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
