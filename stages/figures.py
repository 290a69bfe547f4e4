"""Sheets and films of the final model: truncation, mixing, walks, texture sticking, motion, spectra, neighbours."""

import json
from pathlib import Path
from typing import Any

from sg3x.config import stage_params
from sg3x.config.seeds import LOOP_SEEDS, LOOPS, MIXED_SEEDS
from sg3x.data.prepare import load_arrays
from sg3x.drawing.pictures import draw
from sg3x.drawing.plain import PlainGenerator
from sg3x.files.atomic import Made, atomic_folder
from sg3x.files.tables import parse_tsv
from sg3x.networks import Generator
from sg3x.networks.store import load_generator
from sg3x.render.analysis import neighbour_sheet, plot_spectrum
from sg3x.render.explore import mixing_sheet, truncation_sheet, walk_grid
from sg3x.render.images import save_png
from sg3x.render.sticking import motion_film, sticking_sheet
from sg3x.render.video import write_mp4
from sg3x.render.walk import walk_keyframes
from stages.common import ARRAYS, FIGURES, MODEL, RESULTS, main, set_up_jax

_SHEETS = ("truncation.png", "mixing.png", "walks.mp4", "sticking.png", "motion.mp4", "spectrum.png", "neighbours.png")
MADE = Made("what the figures stage wrote", _SHEETS)
_STICKING_SIZE = 256  # one line of pixels per step: fewer would not show the stripes
_LOOP_COLUMNS = 4


def figures() -> None:
    params = stage_params("figures").figures
    set_up_jax()
    generator = load_generator(MODEL)
    plain = PlainGenerator(generator)
    metrics = json.loads((RESULTS / "metrics.json").read_text())
    seeds, look = list(params.seeds), {"batch": params.batch_size, "size": params.size}
    with atomic_folder(FIGURES, MADE) as folder:
        save_png(
            folder / "truncation.png", truncation_sheet(generator, seeds, batch=params.batch_size, size=params.size)
        )
        half = -(-len(seeds) // 2)
        rows, columns = seeds[:half], [seed + MIXED_SEEDS for seed in seeds]
        mixed = mixing_sheet(generator, rows, columns, truncation_psi=params.truncation_psi, **look)
        save_png(folder / "mixing.png", mixed)
        loops = [[seeds[0] + LOOP_SEEDS * i + j for j in range(LOOP_SEEDS)] for i in range(LOOPS)]
        film = walk_grid(
            generator, loops, frames=params.frames, columns=_LOOP_COLUMNS, truncation_psi=params.truncation_psi, **look
        )
        write_mp4(folder / "walks.mp4", film, fps=params.fps)
        ws = walk_keyframes(generator, seeds[:1], truncation_psi=params.truncation_psi)
        decibels = (metrics.get("eq_t"), metrics.get("eq_t_plain"))
        save_png(folder / "sticking.png", sticking_sheet(generator, plain, ws, size=_STICKING_SIZE, decibels=decibels))
        rotate = generator.config.use_radial_filters
        motion = motion_film(generator, plain, ws, frames=params.frames, size=2 * params.size, rotate=rotate)
        write_mp4(folder / "motion.mp4", motion, fps=params.fps)
        _draw_analysis(folder, generator, metrics, params)
    print(f"{FIGURES}: {', '.join(sorted(p.name for p in FIGURES.iterdir()))}")


def _draw_analysis(folder: Path, generator: Generator, metrics: dict[str, Any], params: Any) -> None:
    plot_spectrum(folder / "spectrum.png", parse_tsv((RESULTS / "spectrum.tsv").read_text()))
    found = json.loads((RESULTS / "neighbours.json").read_text())
    chosen = [entry["seed"] for entries in found.values() for entry in entries]
    ws = walk_keyframes(generator, chosen)
    samples = dict(zip(chosen, draw(generator, ws, batch=params.batch_size), strict=True))
    ratio = next((value for key, value in metrics.items() if key.startswith("neighbour_ratio")), None)
    images, _ = load_arrays(ARRAYS)
    sheet = neighbour_sheet(found, samples.__getitem__, images, size=params.size * 3 // 4, ratio=ratio)
    save_png(folder / "neighbours.png", sheet)


if __name__ == "__main__":
    main(figures)
