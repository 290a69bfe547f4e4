"""The samples of many seeds as one picture."""

from __future__ import annotations

import numpy as np

from sg3x.drawing.drawable import Drawable
from sg3x.drawing.pictures import sample_images
from sg3x.render.images import image_grid


def sample_grid(
    generator: Drawable,
    *,
    first_seed: int,
    columns: int,
    rows: int,
    enlarge_to: int | None,
    batch: int,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> np.ndarray:
    """One uint8 picture of the samples of seeds first_seed, first_seed + 1, ..., in rows."""
    seeds = range(first_seed, first_seed + columns * rows)
    batches = sample_images(
        generator, seeds, batch=batch, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff
    )
    return image_grid(np.concatenate(list(batches)), columns, enlarge_to=enlarge_to)
