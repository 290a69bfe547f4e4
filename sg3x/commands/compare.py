"""`sg3x compare A B`: the report of two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    a: Annotated[str, typer.Argument(help="a folder, git revision or DVC experiment")],
    b: Annotated[str, typer.Argument(help="another; by default the folder you are in")] = ".",
    out: Annotated[Path, typer.Option("--out", "-o", help="the HTML file")] = Path("compare.html"),
) -> None:
    """Writes the reports of two runs (folders, git revisions, DVC experiments) side by side into one HTML file."""
    from sg3x.files.atomic import atomic_write
    from sg3x.report.compare import compare as compare_runs
    from sg3x.report.run import RunError

    try:
        html = compare_runs(a, b, Path())
        out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(out, html.encode())
    except (RunError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{out}: {a} and {b} side by side, open it in any browser")
