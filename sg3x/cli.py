"""The `sg3x` command: what is not a stage of the workflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sg3x.commands.compare import compare
from sg3x.commands.runs import runs

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="StyleGAN3 in JAX under DVC. The workflow is `dvc repro`."
)


app.command()(compare)
app.command()(runs)


@app.callback()
def main() -> None:
    """Subcommands only, however many there are."""


@app.command()
def check(path: Annotated[Path, typer.Argument(help="a parameter file")] = Path("params.yaml")) -> None:
    """Validates a parameter file and says what it will do."""
    from sg3x.config import ConfigError, load_params

    try:
        params = load_params(path)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    ends = ", ".join(sorted(params.segments, key=int))
    typer.echo(
        f"{path} is valid: StyleGAN3-{params.generator.config} at {params.resolution}x{params.resolution} on "
        f"{params.fetch.source}, batch {params.batch_size}, checkpoints at {ends} kimg"
    )
