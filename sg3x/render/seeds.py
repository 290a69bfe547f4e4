"""The choice of pictures to draw: lists of seeds, labels, user transforms and style mixing, as NVIDIA's tools understand them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from sg3x.drawing import pictures
from sg3x.drawing.drawable import Drawable
from sg3x.drawing.motion import rotation_input, translation_input
from sg3x.drawing.pictures import to_uint8_truncated
from sg3x.render.walk import walk_keyframes

_MAX_SEED = 2**32 - 1
_MAX_COUNT = 1_000_000
_AT_ONCE = 1024  # latents held and mapped at a time: 32 MB at 512


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
    """The value of `synthesis(transform=...)` that rotates the picture and then moves it by `translate` (of its side, right and
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


def check_layers(layers: Sequence[int], num_ws: int) -> None:
    """Raises ValueError if there is no layer, or one that the network lacks."""
    if not layers or not all(0 <= layer < num_ws for layer in layers):
        raise ValueError(f"styles={list(layers)}: layers lie in 0..{num_ws - 1} (0 is the Fourier input)")


def mixed_ws(ws: np.ndarray, styles: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """Every pair: ws[R, num_ws, D] with `layers` of styles[C, num_ws, D] -> float32[R, C, num_ws, D] (StyleGAN, section 3)."""
    check_layers(layers, ws.shape[1])
    mixed = np.repeat(ws[:, None], len(styles), axis=1)
    mixed[:, :, list(layers)] = styles[None][:, :, list(layers)]
    return mixed


def draw(
    generator: Drawable, ws: np.ndarray, *, transform: np.ndarray | None = None, batch: int = 8
) -> Iterator[np.ndarray]:
    """As `sg3x.drawing.pictures.draw`, with the bytes that NVIDIA's tools give; few pictures are one smaller batch."""
    return draw_rows(generator, lambda start, end: ws[start:end], len(ws), transform=transform, batch=batch)


def draw_rows(
    generator: Any,
    ws: Callable[[int, int], np.ndarray],
    count: int,
    *,
    transform: np.ndarray | None = None,
    batch: int = 8,
) -> Iterator[np.ndarray]:
    """`draw` of any number of latents, of which few are held at a time.

    Args:
        ws: from a first to before a last picture, the latents float32[last - first, num_ws, w_dim].
        count: number of pictures.
    """
    batch = min(batch, max(count, 1))
    # Whole batches, so that the same pictures share one: styles are normalised over it.
    step = max(_AT_ONCE // max(batch, 1), 1) * max(batch, 1)
    for start in range(0, count, step):
        rows = ws(start, min(start + step, count))
        yield from pictures.draw(generator, rows, batch=batch, transform=transform, quantise=to_uint8_truncated)


class SeedLatents:
    """Latents of many seeds, computed a part at a time: called with a first and a last, it gives the ws between.

    The mapping always runs over whole parts of one length. Its rows then have the same bits as in one run over all
    seeds, and a picture does not depend on how many are drawn.
    """

    def __init__(self, generator: Any, seeds: Sequence[int], **look: Any) -> None:
        self._generator, self._seeds, self._look = generator, seeds, look
        self._part, self._ws = -1, np.empty(0)

    def __len__(self) -> int:
        return len(self._seeds)

    @property
    def num_ws(self) -> int:
        """Number of layers that take a w of their own."""
        return self._generator.config.num_ws

    def __call__(self, start: int, end: int) -> np.ndarray:
        """ws float32[end - start, num_ws, w_dim]."""
        parts = []
        for part in range(start // _AT_ONCE, -(-end // _AT_ONCE)):
            first = part * _AT_ONCE
            parts.append(self._compute(part)[max(start - first, 0) : end - first])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _compute(self, part: int) -> np.ndarray:
        """The ws of one part; the last one computed is kept."""
        if part != self._part:
            seeds = list(self._seeds[part * _AT_ONCE : (part + 1) * _AT_ONCE])
            missing = _AT_ONCE - len(seeds) if part else 0  # few seeds are one smaller part
            self._ws = seed_ws(self._generator, seeds + [seeds[-1]] * missing, **self._look)
            self._part = part
        return self._ws


class MixedLatents:
    """Latents of a mixing sheet: the rows' own, the styles' own, then every pair, rows first (StyleGAN, section 3)."""

    def __init__(self, rows: SeedLatents, styles: SeedLatents, layers: Sequence[int]) -> None:
        check_layers(layers, rows.num_ws)
        self._rows, self._styles, self._layers = rows, styles, list(layers)

    def __len__(self) -> int:
        return len(self._rows) + len(self._styles) + len(self._rows) * len(self._styles)

    def __call__(self, start: int, end: int) -> np.ndarray:
        """ws float32[end - start, num_ws, w_dim]."""
        return np.stack([self._one(index) for index in range(start, end)])

    def _one(self, index: int) -> np.ndarray:
        if index < len(self._rows):
            return self._rows(index, index + 1)[0]
        index -= len(self._rows)
        if index < len(self._styles):
            return self._styles(index, index + 1)[0]
        row, column = divmod(index - len(self._styles), len(self._styles))
        return mixed_ws(self._rows(row, row + 1), self._styles(column, column + 1), self._layers)[0, 0]
