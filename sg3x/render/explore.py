"""Pictures that show what a generator has learnt: truncation, style mixing, many walks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sg3x.render.images import enlarge, image_grid, to_uint8
from sg3x.render.sheets import labelled_grid
from sg3x.render.walk import seed_latents, walk_frames, walk_keyframes, walk_latents

PSIS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2)


def draw(generator: Any, ws: np.ndarray, batch: int) -> np.ndarray:
    """uint8[N, R, R, C] of latents float32[N, num_ws, w_dim]."""
    return np.stack(list(walk_frames(generator, ws, batch=batch)))


def truncation_sheet(
    generator: Any, seeds: Sequence[int], *, batch: int, size: int, psis: Sequence[float] = PSIS
) -> np.ndarray:
    """A row per seed, from the mean picture (psi 0) to beyond what was trained (psi > 1)."""
    z = seed_latents(seeds, generator.z_dim)
    ws = np.stack([np.asarray(generator.mapping(z, None, psi, None)) for psi in psis], axis=1)
    images = draw(generator, ws.reshape(-1, *ws.shape[2:]), batch)
    rows = images.reshape(len(seeds), len(psis), *images.shape[1:])
    return labelled_grid(
        [list(row) for row in rows],
        title="Truncation: from the mean picture to full variety",
        caption="Latents pulled towards their mean by psi. Small: typical and alike. 1: as trained, what all scores use.",
        row_labels=[f"seed {seed}" for seed in seeds],
        column_labels=[f"psi {psi:g}" for psi in psis],
        size=size,
    )


def mixing_sheet(
    generator: Any, rows: Sequence[int], columns: Sequence[int], *, batch: int, size: int, truncation_psi: float
) -> np.ndarray:
    """Each picture takes the coarse layers from its row's seed and the fine ones from its column's.

    The layers are split in half: what comes from the rows is shape and pose, from the columns colour and texture, as far
    as the network has learnt to keep them apart.
    """
    ws_rows, ws_columns = (
        np.asarray(generator.mapping(seed_latents(seeds, generator.z_dim), None, truncation_psi, None))
        for seeds in (rows, columns)
    )
    coarse = ws_rows.shape[1] // 2
    mixed = np.repeat(ws_rows[:, None], len(columns), axis=1)
    mixed[:, :, coarse:] = ws_columns[None, :, coarse:]
    images = draw(generator, np.concatenate([ws_rows, ws_columns, mixed.reshape(-1, *ws_rows.shape[1:])]), batch)
    left, top, inner = np.split(images, [len(rows), len(rows) + len(columns)])
    table: list[list[np.ndarray | None]] = [[None, *top]]
    for number in range(len(rows)):
        table.append([left[number], *inner[number * len(columns) : (number + 1) * len(columns)]])
    return labelled_grid(
        table,
        title="Style mixing: shape from the row, surface from the column",
        caption=f"Layers 0 to {coarse - 1} of {ws_rows.shape[1]} follow the seed at the left, the finer ones the seed "
        f"above. Truncation psi {truncation_psi:g}.",
        row_labels=["", *(f"seed {seed}" for seed in rows)],
        column_labels=["", *(f"seed {seed}" for seed in columns)],
        size=size,
    )


def walk_grid(
    generator: Any,
    loops: Sequence[Sequence[int]],
    *,
    frames: int,
    columns: int,
    size: int,
    batch: int,
    truncation_psi: float,
) -> Iterator[np.ndarray]:
    """Frames uint8[H, W, 3] of closed walks side by side, each through its own seeds."""
    walks = []
    for seeds in loops:
        keyframes = walk_keyframes(generator, seeds, truncation_psi=truncation_psi)
        walks.append(walk_latents(keyframes, frames, w_avg=generator.w_avg))
    ws = np.stack(walks, axis=1)
    images = draw(generator, ws.reshape(-1, *ws.shape[2:]), batch)
    for frame in images.reshape(frames, len(loops), *images.shape[1:]):
        yield image_grid(frame, columns, enlarge_to=size)


def moved(generator: Any, ws: np.ndarray, transforms: Sequence[np.ndarray]) -> np.ndarray:
    """uint8[T, R, R, C]: one picture (ws float32[1, num_ws, w_dim]) under each of the input transforms float[3, 3]."""
    return np.concatenate([to_uint8(np.asarray(generator.synthesis(ws, transform=matrix))) for matrix in transforms])


def side_by_side(panels: Sequence[np.ndarray], *, size: int, gap: int = 8) -> Iterator[np.ndarray]:
    """Frames uint8[H, W, 3] of several films uint8[T, h, w, 3], enlarged, on white."""
    for frames in zip(*panels, strict=True):
        tiles = [enlarge(frame, size) for frame in frames]
        white = np.full((tiles[0].shape[0], gap, tiles[0].shape[2]), 255, np.uint8)
        row = [tiles[0]]
        for tile in tiles[1:]:
            row += [white, tile]
        yield np.concatenate(row, axis=1)
