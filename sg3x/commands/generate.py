"""`sg3x generate`: the pictures of some seeds, as NVIDIA's gen_images.py and style_mixing.py draw them."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sg3x.commands.errors import one_line_errors

if TYPE_CHECKING:
    import numpy as np


def generate(
    model: Annotated[Path, typer.Argument(help="models/..., a checkpoint, or an NVIDIA .pkl")],
    seeds: Annotated[str, typer.Option(help="numbers and ranges: 0-63,100")],
    out: Annotated[Path, typer.Option(help="folder for the PNG files")],
    trunc: Annotated[
        float | None, typer.Option(help="truncation psi: 1 none (default), less: more typical pictures")
    ] = None,
    cutoff: Annotated[int | None, typer.Option(help="layers that --trunc applies to, from the first")] = None,
    class_index: Annotated[int | None, typer.Option("--class", help="class of a conditional network")] = None,
    grid: Annotated[str | None, typer.Option(help="also one picture of the first ones: 8x8 (columns x rows)")] = None,
    mix: Annotated[str | None, typer.Option(help="seeds whose styles are mixed into every one of --seeds")] = None,
    styles: Annotated[
        str | None, typer.Option(help="layers that take the styles of --mix; 0 is the input (default 0-6)")
    ] = None,
    translate: Annotated[str, typer.Option(help="moves the picture right and down, in its sides: 0.3,1")] = "0,0",
    rotate: Annotated[float, typer.Option(help="rotates the picture, in degrees")] = 0.0,
    batch: Annotated[int, typer.Option(help="pictures drawn at a time")] = 8,
) -> None:
    """Draws the pictures of seeds: the same seeds give the same pictures as NVIDIA's tools.

    With --mix also every pair of a seed and a style seed, and grid.png with the styles' own pictures on top.
    """
    with one_line_errors(model):
        _check_together(trunc, cutoff, grid, mix, styles)
        import numpy as np

        from sg3x.loading import load_generator
        from sg3x.render import seeds as drawing

        numbers = drawing.parse_ranges(seeds)
        shape = None if grid is None else drawing.parse_grid(grid)
        _check(numbers, shape, trunc, rotate, batch)
        move = drawing.user_transform(_pair(translate), rotate)
        generator = load_generator(model)
        _check_channels(generator.config.img_channels)
        if move is None and generator.synthesis.input.transform is not None:
            move = np.eye(3, dtype=np.float32)  # gen_images.py always sets its own, a stored one never counts
        look = {
            "class_index": class_index, "truncation_psi": 1.0 if trunc is None else trunc, "truncation_cutoff": cutoff,
        }  # fmt: skip
        latents = drawing.SeedLatents(generator, numbers, **look)
        if mix is None:
            pictures = drawing.draw_rows(generator, latents, len(latents), transform=move, batch=batch)
            _write(pictures, [f"seed{seed:04d}.png" for seed in numbers], out, shape)
            return
        others = drawing.parse_ranges(mix, "mix")
        layers = drawing.parse_ranges("0-6" if styles is None else styles, "styles")
        mixed = drawing.MixedLatents(latents, drawing.SeedLatents(generator, others, **look), layers)
        pictures = drawing.draw_rows(generator, mixed, len(mixed), transform=move, batch=batch)
        _write_mixture(pictures, numbers, others, out)


def _check_together(
    trunc: float | None, cutoff: int | None, grid: str | None, mix: str | None, styles: str | None
) -> None:
    """An option that another one would make do nothing is refused."""
    if mix is not None and grid is not None:
        raise ValueError(f"--grid {grid} with --mix: mixing always writes a grid.png of its own, leave --grid out")
    if mix is None and styles is not None:
        raise ValueError(f"--styles {styles} without --mix: give the seeds whose styles are taken, as --mix 55,821")
    if cutoff is not None and trunc is None:
        raise ValueError(f"--cutoff {cutoff} without --trunc: nothing is truncated, give --trunc too, as --trunc 0.7")


def _check(numbers: list[int], shape: tuple[int, int] | None, trunc: float | None, rotate: float, batch: int) -> None:
    for name, number in (("trunc", trunc), ("rotate", rotate)):
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{name}={number} must be a finite number, as 0.7")
    if batch < 1:
        raise ValueError(f"batch={batch}: 1 and more pictures are drawn at a time")
    if shape is not None and shape[0] * shape[1] > len(numbers):
        raise ValueError(f"grid={shape[0]}x{shape[1]} shows {shape[0] * shape[1]} pictures, --seeds are {len(numbers)}")


def _check_channels(channels: int) -> None:
    if channels not in (1, 3, 4):
        raise ValueError(f"this network draws {channels} channels: PNG files have 1 (grey), 3 (RGB) or 4 (RGBA)")


def _pair(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = math.nan
    if not math.isfinite(x) or not math.isfinite(y):
        raise ValueError(f"translate={text!r} must be two numbers, as in 0.3,-0.1")
    return x, y


def _write(pictures: Iterator[np.ndarray], names: list[str], out: Path, shape: tuple[int, int] | None) -> None:
    """Every picture as it is drawn, and a grid of the first ones."""
    from sg3x.render.images import Grid, save_png

    shown = 0 if shape is None else shape[0] * shape[1]
    grid = Grid(shown, shape[0]) if shape is not None else None
    with _counting(len(names), out) as one_more:
        for number, (name, picture) in enumerate(zip(names, pictures, strict=True)):
            save_png(out / name, picture)
            if grid is not None and number < shown:
                grid.add(picture)
            one_more()
    if grid is not None and shape is not None:
        save_png(out / "grid.png", grid.finish())
        typer.echo(f"{out / 'grid.png'}: {shape[0]} columns, {shape[1]} rows")


def _write_mixture(pictures: Iterator[np.ndarray], rows: list[int], columns: list[int], out: Path) -> None:
    """Every pair as ROW-COLUMN.png; grid.png with the rows' own pictures at the left and the styles' own on top.

    Args:
        pictures: the rows' own, the styles' own, then every pair, row by row.
    """
    from sg3x.render.images import Grid, save_png

    wide, own = len(columns) + 1, len(rows) + len(columns)
    grid = Grid((len(rows) + 1) * wide, wide)
    with _counting(own + len(rows) * len(columns), out) as one_more:
        for number, picture in enumerate(pictures):
            if number < len(rows):
                grid.add(picture, (number + 1) * wide)
            elif number < own:
                grid.add(picture, 1 + number - len(rows))
            else:
                i, j = divmod(number - own, len(columns))
                save_png(out / f"{rows[i]}-{columns[j]}.png", picture)
                grid.add(picture, (i + 1) * wide + 1 + j)
            one_more()
    save_png(out / "grid.png", grid.finish())
    typer.echo(f"{len(rows) * len(columns)} pairs in {out}, grid.png shows them all: seeds down, styles across")


@contextlib.contextmanager
def _counting(total: int, out: Path) -> Iterator[Callable[[], None]]:
    """Gives what to call after each picture: it says how many there are, on a terminal as they come, else at the end."""
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        if sys.stdout.isatty() or done == total:
            typer.echo(f"\r{done} of {total} pictures in {out}", nl=done == total)

    try:
        yield one_more
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{done} of {total} pictures are drawn, in {out}") from None
