"""`sg3x check`: is a parameter file valid, and what would it do?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    if params.run.launcher.strip():
        typer.echo(f"training is started by a program that it names: run.launcher = {params.run.launcher!r}")
