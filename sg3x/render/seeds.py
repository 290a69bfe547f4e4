"""Which pictures to draw: lists of seeds, labels, user transforms and style mixing, as NVIDIA's tools understand them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sg3x.render.walk import seed_latents

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
    """What `synthesis(transform=...)` takes to move the picture by `translate` (of its side, right and down) and rotate it.

    None when nothing moves. The inverse of NVIDIA's make_transform, as their gen_images.py hands it on.
    """
    if translate == (0.0, 0.0) and degrees == 0:
        return None
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    forward = np.array([[c, s, translate[0]], [-s, c, translate[1]], [0, 0, 1]])
    return np.linalg.inv(forward).astype(np.float32)


def to_uint8_truncated(images: Any) -> np.ndarray:
    """x * 127.5 + 128, clipped, fraction dropped: byte for byte what NVIDIA's gen_images.py saves.

    Everything else here rounds (`sg3x.render.images.to_uint8`); the two differ by one at most.
    """
    images = np.asarray(images, np.float32)
    if not np.isfinite(images).all():
        raise ValueError("the network draws numbers that are not finite: it is broken")
    return np.clip(images * np.float32(127.5) + np.float32(128), 0, 255).astype(np.uint8)


def seed_ws(
    generator: Any,
    seeds: Sequence[int],
    *,
    class_index: int | None = None,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> np.ndarray:
    """ws float32[len(seeds), num_ws, w_dim] of the seeds."""
    c = labels(generator.config.c_dim, class_index, len(seeds))
    z = seed_latents(seeds, generator.z_dim)
    return np.asarray(generator.mapping(z, c, truncation_psi, truncation_cutoff))


def mixed_ws(ws: np.ndarray, styles: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """Every pair: ws[R, num_ws, D] with `layers` of styles[C, num_ws, D] -> float32[R, C, num_ws, D] (StyleGAN, section 3)."""
    wrong = [layer for layer in layers if not 0 <= layer < ws.shape[1]]
    if wrong or not len(layers):
        raise ValueError(f"styles={list(layers)}: layers lie in 0..{ws.shape[1] - 1} (0 is the Fourier input)")
    mixed = np.repeat(ws[:, None], len(styles), axis=1)
    mixed[:, :, list(layers)] = styles[None][:, :, list(layers)]
    return mixed


def draw(
    generator: Any, ws: np.ndarray, *, transform: np.ndarray | None = None, batch: int = 8
) -> Iterator[np.ndarray]:
    """uint8[R, R, C] pictures of ws[N, num_ws, D], one after the other; the program is compiled for one batch size."""
    if batch < 1:
        raise ValueError(f"batch={batch} must be at least 1")
    batch = min(batch, len(ws))
    for start in range(0, len(ws), batch):
        chunk = ws[start : start + batch]
        padded = np.concatenate([chunk, np.repeat(chunk[-1:], batch - len(chunk), axis=0)])
        yield from to_uint8_truncated(generator.synthesis(padded, transform=transform))[: len(chunk)]
