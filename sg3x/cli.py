"""The `sg3x` command: what is not a stage of the workflow."""

from __future__ import annotations

from typing import Annotated

import typer

import sg3x
from sg3x.commands.check import check
from sg3x.commands.compare import compare
from sg3x.commands.errors import command
from sg3x.commands.generate import generate
from sg3x.commands.import_nvidia import import_nvidia
from sg3x.commands.info import info
from sg3x.commands.preflight import preflight
from sg3x.commands.runs import runs
from sg3x.files.terminal import plain_output

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="StyleGAN3 in JAX under DVC. The workflow is `dvc repro`.",
)  # fmt: skip


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sg3x {sg3x.__version__}")
        raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="show the version and end", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Prepares every command: plain output, and its own name."""
    command.set(f"sg3x {context.invoked_subcommand}")
    context.with_resource(plain_output())


app.command()(check)
app.command()(compare)
app.command()(generate)
app.command()(import_nvidia)
app.command()(info)
app.command()(preflight)
app.command()(runs)


if __name__ == "__main__":
    app()
