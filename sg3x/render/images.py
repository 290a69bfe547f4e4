"""Pictures as PNG files and grids."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from sg3x.files.atomic import atomic_write

_WHITE = 255
_COMPRESSION = 6  # zlib's level, named so that the bytes do not follow a change of Pillow's default


def save_png(path: Path, image: np.ndarray) -> None:
    """Writes uint8[H, W, 3], [H, W, 4] (RGBA), [H, W, 1] or [H, W] as PNG: the same bytes every time, no time stamps."""
    image = _checked(image, (2, 3))
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 3 and image.shape[2] not in (3, 4):
        raise ValueError(f"the image has shape {image.shape}; allowed are [H, W], [H, W, 1], [H, W, 3] and [H, W, 4]")
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(content, "PNG", compress_level=_COMPRESSION)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    atomic_write(Path(path), content.getvalue())


def enlarge(image: np.ndarray, size: int | None) -> np.ndarray:
    """uint8[H, W, C] enlarged by LANCZOS until its longer side is ``size``; as it is where that is no enlargement."""
    height, width, channels = _checked(image, (3,)).shape
    if size is None or size <= max(height, width):
        return image
    new = (max(1, round(width * size / max(height, width))), max(1, round(height * size / max(height, width))))
    flat = np.ascontiguousarray(image[..., 0] if channels == 1 else image)
    return np.asarray(Image.fromarray(flat).resize(new, Image.Resampling.LANCZOS)).reshape(new[1], new[0], channels)


def image_grid(
    images: np.ndarray,
    columns: int,
    *,
    enlarge_to: int | None = None,
    gap: int | None = None,
) -> np.ndarray:
    """Pictures in rows of ``columns``, first one top left, on white.

    Args:
        images: uint8[N, H, W, C] with C 1, 3 or 4.
        columns: pictures per row; a row that is not full ends in white.
        enlarge_to: size of each picture's longer side in the grid, by LANCZOS; None, or less than it has: as it is.
            Pictures are enlarged one by one, so that none bleeds into its neighbour.
        gap: pixels between pictures and around them; None takes 1/32 of a picture, at least 1.

    Returns:
        uint8[rows * (h + gap) + gap, columns * (w + gap) + gap, C].

    Raises:
        ValueError: if there is no picture or no column.
    """
    images = _checked(images, (4,))
    if len(images) == 0 or columns < 1:
        raise ValueError(f"a grid of {len(images)} images in {columns} columns; allowed are 1 and more of both")
    grid = Grid(len(images), columns, enlarge_to=enlarge_to, gap=gap)
    for image in images:
        grid.add(image)
    return grid.finish()


class Grid:
    """`image_grid` picture by picture: nothing but the grid itself is held.

    A place that no picture is added to stays white.
    """

    def __init__(self, count: int, columns: int, *, enlarge_to: int | None = None, gap: int | None = None) -> None:
        self._count, self._columns, self._enlarge_to, self._gap = count, columns, enlarge_to, gap
        self._canvas: np.ndarray | None = None
        self._next = 0

    def add(self, image: np.ndarray, place: int | None = None) -> None:
        """Puts uint8[H, W, C] at `place`, counted in rows from 0; None: after the one before."""
        tile = enlarge(image, self._enlarge_to)
        height, width, channels = tile.shape
        if self._canvas is None:
            self._gap = max(1, height // 32) if self._gap is None else self._gap
            rows = -(-self._count // self._columns)
            shape = (
                rows * (height + self._gap) + self._gap, self._columns * (width + self._gap) + self._gap, channels,
            )  # fmt: skip
            self._canvas = np.full(shape, _WHITE, np.uint8)
        gap = self._gap or 0
        place = self._next if place is None else place
        row, column = divmod(place, self._columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        self._canvas[top : top + height, left : left + width] = tile
        self._next = place + 1

    def finish(self) -> np.ndarray:
        """uint8[H, W, C]."""
        if self._canvas is None:
            raise ValueError("a grid without a picture; allowed is at least one")
        return self._canvas


def _checked(image: np.ndarray, dimensions: tuple[int, ...]) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim not in dimensions:
        raise ValueError(f"the image is {image.dtype} {image.shape}; allowed is uint8 with {dimensions} dimensions")
    return image
