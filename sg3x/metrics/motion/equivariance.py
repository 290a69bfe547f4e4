"""EQ-T, EQ-T_frac and EQ-R: how exactly a picture moves when the generator's input coordinates are moved.

Karras et al. 2021 (StyleGAN3), section 3 (equation 3) and appendix E. A generator that draws details glued to pixel
coordinates scores about 20 dB; StyleGAN3's configurations reach 60 and more. The pictures of both sides are compared where the
ideal operator is exact (its mask), as a peak signal-to-noise ratio with signals in -1..1:

    PSNR = 20 log10 2 - 10 log10( sum of masked squared differences / sum of masks )
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sg3x.drawing.drawable import Drawable
from sg3x.drawing.motion import rotation_input, translation_input
from sg3x.drawing.pictures import seed_latents
from sg3x.metrics.motion.ideal import pseudo_rotate, rotate, translate_fractional, translate_integer

METRICS = ("eq_t", "eq_t_frac", "eq_r")
TRANSLATE_MAX = 0.125  # of the picture's side
ROTATE_MAX = 1.0  # of half a turn
BATCH = 16  # pictures that share a motion; its own, so that no number hangs on how many fit into memory elsewhere
_STREAM = 0x5EED_E001  # keeps the draws of motions apart from the latents of the same seeds


@dataclass(frozen=True)
class Motion:
    """The motions of one batch: translations as fractions of the picture's side (x, y), and an angle in radians."""

    integer: tuple[float, float]
    fractional: tuple[float, float]
    angle: float


def equivariance(
    generator: Drawable,
    *,
    num_samples: int = 256,
    batch: int = BATCH,
    first_seed: int = 0,
    metrics: Sequence[str] = METRICS,
    labels: Any = None,
    translate_max: float = TRANSLATE_MAX,
    rotate_max: float = ROTATE_MAX,
) -> dict[str, float]:
    """EQ-T, EQ-T_frac and EQ-R in dB of an `sg3x.networks.Generator`, deterministic by seed.

    Sample i has the latent of seed first_seed + i; each batch is moved by one draw of (first_seed, batch number), so the
    result depends on `batch` a little, as the reference's does. The paper uses 50,000 samples; a few hundred give
    about 0.3 dB.

    Args:
        num_samples: how many pictures, a multiple of `batch` (every batch weighs the same).
        metrics: which of eq_t, eq_t_frac, eq_r; each needs one more pass through the synthesis network.
        labels: float[num_samples, c_dim] for a conditional generator, else None.
        translate_max: largest translation, fraction of the picture. rotate_max: largest angle, fraction of half a turn.

    Returns:
        decibels by name; higher is better, infinite for identical pictures.

    Raises:
        ValueError: unknown metric, or numbers that do not fit together.
    """
    if batch < 1 or num_samples < batch or num_samples % batch:
        raise ValueError(f"num_samples={num_samples} must be a positive multiple of batch={batch}")
    motions = [draw_motion(first_seed, number, translate_max, rotate_max) for number in range(num_samples // batch)]
    seeds = range(first_seed, first_seed + num_samples)
    chunks = (slice(start, start + batch) for start in range(0, num_samples, batch))
    batches = (
        (seed_latents(seeds[chunk], generator.z_dim), None if labels is None else np.asarray(labels)[chunk])
        for chunk in chunks
    )
    return measure_equivariance(generator, batches, motions, metrics)


def draw_motion(seed: int, number: int, translate_max: float, rotate_max: float) -> Motion:
    """The motion of batch `number`: translations uniform in ±translate_max, the angle in ±rotate_max half turns."""
    u = np.random.default_rng([_STREAM, seed, number]).uniform(-1, 1, 5)
    integer, fractional = u[:2] * translate_max, u[2:4] * translate_max
    return Motion(
        (float(integer[0]), float(integer[1])), (float(fractional[0]), float(fractional[1])),
        float(u[4] * rotate_max * np.pi),
    )  # fmt: skip


def measure_equivariance(
    generator: Drawable,
    batches: Iterable[tuple[np.ndarray, np.ndarray | None]],
    motions: Iterable[Motion],
    metrics: Sequence[str] = METRICS,
) -> dict[str, float]:
    """The metrics over batches of (z float[n, z_dim], c float[n, c_dim] or None), each with its motion."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise ValueError(f"metrics={list(metrics)} must name some of {', '.join(METRICS)}")
    error, count = dict.fromkeys(metrics, 0.0), dict.fromkeys(metrics, 0.0)
    for (z, c), motion in zip(batches, motions, strict=True):
        ws = generator.mapping(z, c)
        original = _drawn(generator, ws, np.eye(3))  # not the generator's own transform, if it has one
        for name in metrics:
            for moved, reference, mask in _pairs(generator, ws, original, motion, name):
                difference = np.square(np.asarray(moved, np.float64) - np.asarray(reference, np.float64))
                error[name] += float((difference * mask[None, :, :, None]).sum())
                count[name] += float(mask.sum(dtype=np.float64)) * moved.shape[0] * moved.shape[3]
    return {name: psnr(error[name], count[name]) for name in metrics}


def _pairs(
    generator: Drawable, ws: Any, original: Any, motion: Motion, name: str
) -> Iterator[tuple[Any, Any, np.ndarray]]:
    """(what the generator draws with its coordinates moved, the original moved ideally, mask) for one metric."""
    if name == "eq_r":
        drawn = _drawn(generator, ws, rotation_input(motion.angle))
        reference, mask = rotate(original, motion.angle)
        # The ideal rotation loses the corners of the spectrum; the drawing must lose them too to be compared.
        drawn, pseudo_mask = pseudo_rotate(drawn, motion.angle)
        yield drawn, reference, mask * pseudo_mask
    elif name == "eq_t":
        side = generator.resolution
        whole = tuple(round(t * side) / side for t in motion.integer)
        reference, mask = translate_integer(original, *whole)
        yield _drawn(generator, ws, translation_input(*whole)), reference, mask
    else:
        reference, mask = translate_fractional(original, *motion.fractional)
        yield _drawn(generator, ws, translation_input(*motion.fractional)), reference, mask


def _drawn(generator: Drawable, ws: Any, matrix: np.ndarray) -> Any:
    """All of a batch under one transform, by the program that `sg3x.drawing.pictures.draw` runs for films too."""
    return generator.synthesis(ws, transform=np.broadcast_to(matrix, (len(ws), 3, 3)))


def psnr(squared_error: float, count: float) -> float:
    """Decibels of signals in -1..1 from summed squared differences and how many were summed."""
    if count <= 0:
        raise ValueError("the masks leave no pixel to compare: the pictures are too small for these motions")
    return float("inf") if squared_error == 0 else 20 * np.log10(2.0) - 10 * np.log10(squared_error / count)
