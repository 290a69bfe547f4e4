"""`sg3x generate`: the pictures of some seeds, as NVIDIA's gen_images.py and style_mixing.py draw them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from sg3x.commands.errors import one_line_errors


def generate(
    model: Annotated[Path, typer.Argument(help="models/..., a checkpoint, or an NVIDIA .pkl")],
    seeds: Annotated[str, typer.Option(help="numbers and ranges: 0-63,100")],
    out: Annotated[Path, typer.Option(help="folder for the PNG files")],
    trunc: Annotated[float, typer.Option(help="truncation psi: 1 none, less: more typical pictures")] = 1.0,
    cutoff: Annotated[int | None, typer.Option(help="layers that truncation applies to, from the first")] = None,
    class_index: Annotated[int | None, typer.Option("--class", help="class of a conditional network")] = None,
    grid: Annotated[str | None, typer.Option(help="also one picture of the first ones: 8x8 (columns x rows)")] = None,
    mix: Annotated[str | None, typer.Option(help="seeds whose styles are mixed into every one of --seeds")] = None,
    styles: Annotated[str, typer.Option(help="layers that take the styles of --mix; 0 is the input")] = "0-6",
    translate: Annotated[str, typer.Option(help="moves the picture right and down, in its sides: 0.3,1")] = "0,0",
    rotate: Annotated[float, typer.Option(help="rotates the picture, in degrees")] = 0.0,
    batch: Annotated[int, typer.Option(help="pictures drawn at a time")] = 8,
) -> None:
    """Draws the pictures of seeds: the same seeds give the same pictures as NVIDIA's tools.

    With --mix also every pair of a seed and a style seed, and grid.png with the styles' own pictures on top.
    """
    from sg3x.render.seeds import parse_grid, parse_ranges, user_transform

    with one_line_errors():
        import numpy as np

        from sg3x.loading import load_generator
        from sg3x.render import seeds as drawing

        numbers = parse_ranges(seeds)
        shape = None if grid is None else parse_grid(grid)
        _check(numbers, shape, trunc)
        move = user_transform(_pair(translate), rotate)
        generator = load_generator(model)
        _check_channels(generator.config.img_channels)
        if move is None and generator.synthesis.input.transform is not None:
            move = np.eye(3, dtype=np.float32)  # gen_images.py always sets its own, a stored one never counts
        look = {"class_index": class_index, "truncation_psi": trunc, "truncation_cutoff": cutoff}
        ws = drawing.seed_ws(generator, numbers, **look)  # type: ignore[arg-type]
        if mix is None:
            pictures = drawing.draw(generator, ws, transform=move, batch=batch)
            _write(pictures, [f"seed{seed:04d}.png" for seed in numbers], out, shape)
            return
        others = parse_ranges(mix, "mix")
        style_ws = drawing.seed_ws(generator, others, **look)  # type: ignore[arg-type]
        mixed = drawing.mixed_ws(ws, style_ws, parse_ranges(styles, "styles"))
        _write_mixture(generator, ws, style_ws, mixed, numbers, others, out, move, batch)


def _check(numbers: list[int], shape: tuple[int, int] | None, trunc: float) -> None:
    if not math.isfinite(trunc):
        raise ValueError(f"trunc={trunc} must be a finite number, as 0.7")
    if shape is not None and shape[0] * shape[1] > len(numbers):
        raise ValueError(f"grid={shape[0]}x{shape[1]} shows {shape[0] * shape[1]} pictures, --seeds are {len(numbers)}")


def _check_channels(channels: int) -> None:
    if channels not in (1, 3, 4):
        raise ValueError(f"this network draws {channels} channels: PNG files have 1 (grey), 3 (RGB) or 4 (RGBA)")


def _pair(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"translate={text!r} must be two numbers, as in 0.3,-0.1") from None
    return x, y


def _write(pictures, names, out: Path, grid: tuple[int, int] | None) -> None:
    """Every picture as it is drawn, and a grid of the first ones."""
    import numpy as np

    from sg3x.render.images import image_grid, save_png

    kept = []
    for number, (picture, name) in enumerate(zip(pictures, names, strict=True), start=1):
        save_png(out / name, picture)
        if sys.stdout.isatty() or number == len(names):
            typer.echo(f"\r{number} of {len(names)} pictures in {out}", nl=number == len(names))
        if grid is not None and number <= grid[0] * grid[1]:
            kept.append(picture)
    if grid is not None:
        save_png(out / "grid.png", image_grid(np.stack(kept), grid[0]))
        typer.echo(f"{out / 'grid.png'}: {grid[0]} columns, {-(-len(kept) // grid[0])} rows")


def _write_mixture(generator, ws, style_ws, mixed, rows, columns, out: Path, move, batch: int) -> None:
    """Every pair as ROW-COLUMN.png; grid.png with the rows' own pictures at the left and the styles' own on top."""
    import numpy as np

    from sg3x.render.images import image_grid, save_png
    from sg3x.render.seeds import draw

    everything = np.concatenate([ws, style_ws, mixed.reshape(-1, *ws.shape[1:])])
    pictures = list(draw(generator, everything, transform=move, batch=batch))
    own, tops, pairs = (
        pictures[: len(rows)],
        pictures[len(rows) :][: len(columns)],
        pictures[len(rows) + len(columns) :],
    )
    tiles = [np.full_like(own[0], 255), *tops]
    for i, row in enumerate(rows):
        tiles.append(own[i])
        for j, column in enumerate(columns):
            picture = pairs[i * len(columns) + j]
            save_png(out / f"{row}-{column}.png", picture)
            tiles.append(picture)
    save_png(out / "grid.png", image_grid(np.stack(tiles), len(columns) + 1))
    typer.echo(f"{len(pairs)} pictures in {out}, grid.png shows them all: seeds down, styles across")
