"""`sg3x compare A B`: the report of two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sg3x.commands.errors import one_line_errors


def compare(
    a: Annotated[str, typer.Argument(help="a folder, git revision or DVC experiment")],
    b: Annotated[str, typer.Argument(help="another; by default the folder you are in")] = ".",
    out: Annotated[Path, typer.Option("--out", "-o", help="the HTML file")] = Path("compare.html"),
) -> None:
    """Writes the reports of two runs (folders, git revisions, DVC experiments) side by side into one HTML file."""
    with one_line_errors(f"{a} {b}"):
        from sg3x.files.atomic import atomic_write
        from sg3x.report.compare import compare as compare_runs

        html = compare_runs(a, b, Path())
        out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(out, html.encode())
        typer.echo(f"{out}: {a} and {b} side by side, open it in any browser")
