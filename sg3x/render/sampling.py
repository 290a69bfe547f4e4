"""Pictures of many seeds, in batches of one shape so that the generator compiles once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sg3x.render.images import image_grid, to_uint8
from sg3x.render.walk import seed_latents


def sample_images(
    generator: Any,
    seeds: Sequence[int],
    *,
    batch: int,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> Iterator[np.ndarray]:
    """uint8[n, R, R, C] batches, in the order of the seeds; the last one holds what remains.

    Picture s does not depend on which others share its batch beyond rounding; for equal bytes keep `batch` the same.
    """
    if batch < 1:
        raise ValueError(f"batch_size={batch} must be at least 1")
    for start in range(0, len(seeds), batch):
        chunk = list(seeds[start : start + batch])
        z = seed_latents(chunk + [chunk[-1]] * (batch - len(chunk)), generator.z_dim)
        images = generator(z, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        yield to_uint8(np.asarray(images))[: len(chunk)]


def sample_grid(
    generator: Any,
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
