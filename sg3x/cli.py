"""The `sg3x` command: what is not a stage of the workflow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sg3x.commands.generate import generate
from sg3x.commands.import_nvidia import import_nvidia
from sg3x.commands.info import info

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="StyleGAN3 in JAX under DVC. The workflow is `dvc repro`."
)


@app.callback()
def main() -> None:
    """Subcommands only, however many there are."""


@app.command()
def runs(
    scratch: Annotated[Path, typer.Option(help="where unfinished segments live", envvar="SG3X_SCRATCH")] = Path(
        "scratch"
    ),
) -> None:
    """Unfinished training segments: how far they are, how fast, and whether a trainer is at work."""
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


app.command()(import_nvidia)
app.command()(generate)
app.command()(info)


if __name__ == "__main__":
    app()
