"""`sg3x check`: is a parameter file valid, and would a run with it come to its end?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    path: Annotated[Path, typer.Argument(help="a parameter file")] = Path("params.yaml"),
    devices: Annotated[int | None, typer.Option(min=1, help="of the run; none: those of this machine")] = None,
) -> None:
    """Checks a parameter file, and everything else that can be known before the first step, and says what it will do."""
    from sg3x.commands.foresee import problems
    from sg3x.config import ConfigError, load_params

    try:
        params = load_params(path)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if found := problems(params, devices or _devices_here()):
        for problem in found:
            typer.echo(f"{path}: {problem}", err=True)
        raise typer.Exit(1)
    ends = ", ".join(sorted(params.segments, key=int))
    typer.echo(
        f"{path} is valid: StyleGAN3-{params.generator.config} at {params.resolution}x{params.resolution} on "
        f"{params.fetch.source}, batch {params.batch_size}, checkpoints at {ends} kimg"
    )
    if params.run.launcher.strip():
        typer.echo(f"training is started by a program that it names: run.launcher = {params.run.launcher!r}")


def _devices_here() -> int:
    import jax

    return jax.device_count()
