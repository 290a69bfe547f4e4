"""Which pictures to draw: lists of seeds, labels, user transforms and style mixing, as NVIDIA's tools understand them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from sg3x.drawing import pictures
from sg3x.drawing.drawable import Drawable
from sg3x.drawing.motion import rotation_input, translation_input
from sg3x.drawing.pictures import to_uint8_truncated
from sg3x.render.walk import walk_keyframes

_MAX_SEED = 2**32 - 1
_MAX_COUNT = 1_000_000


def parse_ranges(text: str, name: str = "seeds", most: int = _MAX_SEED) -> list[int]:
    """ "0-3,100" as [0, 1, 2, 3, 100]: numbers and closed ranges, in the order given.

    Raises:
        ValueError: anything else, or a number above `most`; `name` is the parameter to change.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", part)
        if not match:
            raise ValueError(f"{name}={text!r}: {part!r} is neither a number nor a range, as in 0-63,100")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > most or len(numbers) + last - first >= _MAX_COUNT:
            raise ValueError(f"{name}={text!r}: {part!r} must rise, and lie in 0..{most}")
        numbers.extend(range(first, last + 1))
    return numbers


def parse_grid(text: str) -> tuple[int, int]:
    """ "8x4" as (8 columns, 4 rows)."""
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text.strip())
    if not match or not int(match[1]) or not int(match[2]):
        raise ValueError(f"grid={text!r} must be columns x rows, as in 8x4")
    return int(match[1]), int(match[2])


def labels(c_dim: int, index: int | None, count: int) -> np.ndarray | None:
    """One-hot labels float32[count, c_dim] of class `index`, None for an unconditional network."""
    if c_dim == 0:
        if index is not None:
            raise ValueError(f"class={index}: this network is unconditional, leave --class out")
        return None
    if index is None:
        raise ValueError(f"this network is conditional: give --class, from 0 to {c_dim - 1}")
    if not 0 <= index < c_dim:
        raise ValueError(f"class={index} must be from 0 to {c_dim - 1}")
    label = np.zeros((count, c_dim), np.float32)
    label[:, index] = 1
    return label


def user_transform(translate: tuple[float, float], degrees: float) -> np.ndarray | None:
    """What `synthesis(transform=...)` takes to rotate the picture and then move it by `translate` (of its side, right and
    down). None when nothing moves. The inverse of NVIDIA's make_transform, as their gen_images.py hands it on.
    """
    if translate == (0.0, 0.0) and degrees == 0:
        return None
    return (rotation_input(np.deg2rad(degrees)) @ translation_input(*translate)).astype(np.float32)


def seed_ws(
    generator: Drawable,
    seeds: Sequence[int],
    *,
    class_index: int | None = None,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> np.ndarray:
    """ws float32[len(seeds), num_ws, w_dim] of the seeds."""
    c = labels(generator.config.c_dim, class_index, len(seeds))
    return walk_keyframes(generator, seeds, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff, c=c)


def mixed_ws(ws: np.ndarray, styles: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """Every pair: ws[R, num_ws, D] with `layers` of styles[C, num_ws, D] -> float32[R, C, num_ws, D] (StyleGAN, section 3)."""
    wrong = [layer for layer in layers if not 0 <= layer < ws.shape[1]]
    if wrong or not len(layers):
        raise ValueError(f"styles={list(layers)}: layers lie in 0..{ws.shape[1] - 1} (0 is the Fourier input)")
    mixed = np.repeat(ws[:, None], len(styles), axis=1)
    mixed[:, :, list(layers)] = styles[None][:, :, list(layers)]
    return mixed


def draw(
    generator: Drawable, ws: np.ndarray, *, transform: np.ndarray | None = None, batch: int = 8
) -> Iterator[np.ndarray]:
    """As `sg3x.drawing.pictures.draw`, with the bytes that NVIDIA's tools give; few pictures are one smaller batch."""
    batch = min(batch, max(len(ws), 1))
    return pictures.draw(generator, ws, batch=batch, transform=transform, quantise=to_uint8_truncated)
