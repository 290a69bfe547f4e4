"""Pictures that show what a generator has learnt: truncation, style mixing, many walks at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from sg3x.drawing.drawable import Drawable
from sg3x.drawing.pictures import draw, seed_latents
from sg3x.render.images import image_grid
from sg3x.render.seeds import mixed_ws
from sg3x.render.sheets import labelled_grid
from sg3x.render.walk import walk_keyframes, walk_latents

PSIS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2)


def truncation_sheet(
    generator: Drawable, seeds: Sequence[int], *, batch: int, size: int, psis: Sequence[float] = PSIS
) -> np.ndarray:
    """A row per seed, from the mean picture (psi 0) to beyond what was trained (psi > 1)."""
    z = seed_latents(seeds, generator.z_dim)
    ws = np.stack([np.asarray(generator.mapping(z, None, psi, None)) for psi in psis], axis=1)
    images = draw(generator, ws.reshape(-1, *ws.shape[2:]), batch=batch)
    return labelled_grid(
        list(_in_rows(images, len(psis))),
        title="Truncation: from the mean picture to full variety",
        caption="Latents pulled towards their mean by psi. Small: typical and alike. 1: as trained, what all scores use.",
        row_labels=[f"seed {seed}" for seed in seeds],
        column_labels=[f"psi {psi:g}" for psi in psis],
        size=size,
    )


def mixing_sheet(
    generator: Drawable, rows: Sequence[int], columns: Sequence[int], *, batch: int, size: int, truncation_psi: float
) -> np.ndarray:
    """Each picture takes the coarse layers from its row's seed and the fine ones from its column's.

    The layers are split in half: what comes from the rows is shape and pose, from the columns colour and texture, as far
    as the network has learnt to keep them apart.
    """
    ws_rows, ws_columns = (walk_keyframes(generator, s, truncation_psi=truncation_psi) for s in (rows, columns))
    layers = ws_rows.shape[1]
    coarse = layers // 2
    mixed = mixed_ws(ws_rows, ws_columns, range(coarse, layers))
    everything = np.concatenate([ws_rows, ws_columns, mixed.reshape(-1, *ws_rows.shape[1:])])
    images = list(draw(generator, everything, batch=batch))
    left, top = images[: len(rows)], images[len(rows) :][: len(columns)]
    inner = _in_rows(images[len(rows) + len(columns) :], len(columns))
    table: list[list[np.ndarray | None]] = [[None, *top]]
    table += [[own, *row] for own, row in zip(left, inner, strict=True)]
    return labelled_grid(
        table,
        title="Style mixing: shape from the row, surface from the column",
        caption=f"Layers 0 to {coarse - 1} of {layers} follow the seed at the left, the finer ones the seed "
        f"above. Truncation psi {truncation_psi:g}.",
        row_labels=["", *(f"seed {seed}" for seed in rows)],
        column_labels=["", *(f"seed {seed}" for seed in columns)],
        size=size,
    )


def walk_grid(
    generator: Drawable,
    loops: Sequence[Sequence[int]],
    *,
    frames: int,
    columns: int,
    size: int,
    batch: int,
    truncation_psi: float,
) -> Iterator[np.ndarray]:
    """Frames uint8[H, W, 3] of closed walks side by side, each through its own seeds."""
    walks = [
        walk_latents(walk_keyframes(generator, seeds, truncation_psi=truncation_psi), frames, w_avg=generator.w_avg)
        for seeds in loops
    ]
    ws = np.stack(walks, axis=1)
    for frame in _in_rows(draw(generator, ws.reshape(-1, *ws.shape[2:]), batch=batch), len(loops)):
        yield image_grid(np.stack(frame), columns, enlarge_to=size)


def _in_rows(pictures: Iterable[np.ndarray], columns: int) -> Iterator[list[np.ndarray]]:
    """So many pictures at a time."""
    following = iter(pictures)
    while row := list(islice(following, columns)):
        yield row


def moved(generator: Drawable, ws: np.ndarray, transforms: Sequence[np.ndarray], *, batch: int = 16) -> np.ndarray:
    """uint8[T, R, R, C]: one picture (ws float32[1, num_ws, w_dim]) under each of the input transforms float[3, 3]."""
    many = np.repeat(ws, len(transforms), axis=0)
    return np.stack(list(draw(generator, many, batch=batch, transform=np.stack(transforms))))


def side_by_side(panels: Sequence[np.ndarray], *, size: int, gap: int = 8) -> Iterator[np.ndarray]:
    """Frames uint8[H, W, 3] of several films uint8[T, h, w, 3], enlarged, on white."""
    for frames in zip(*panels, strict=True):
        yield image_grid(np.stack(frames), len(frames), enlarge_to=size, gap=gap)[gap:-gap, gap:-gap]
