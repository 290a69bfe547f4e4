"""The `sg3x` command: what is not a stage of the workflow."""

from __future__ import annotations

import typer

from sg3x.commands.check import check
from sg3x.commands.compare import compare
from sg3x.commands.generate import generate
from sg3x.commands.import_nvidia import import_nvidia
from sg3x.commands.info import info
from sg3x.commands.preflight import preflight
from sg3x.commands.runs import runs

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="StyleGAN3 in JAX under DVC. The workflow is `dvc repro`."
)
app.command()(check)
app.command()(compare)
app.command()(generate)
app.command()(import_nvidia)
app.command()(info)
app.command()(preflight)
app.command()(runs)


if __name__ == "__main__":
    app()
