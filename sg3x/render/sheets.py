"""Pictures in labelled rows and columns, as one picture: the letters are matplotlib's own font, the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sg3x.render.images import enlarge

INK = (34, 34, 34)
FAINT = (110, 110, 110)
PAPER = (255, 255, 255)


@lru_cache(maxsize=32)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


class Sheet:
    """A white page that pictures and words are put on, growing downwards as it fills."""

    def __init__(self, width: int, margin: int = 16) -> None:
        self.width, self.margin, self.top = width, margin, margin
        self._image = Image.new("RGB", (width, margin), PAPER)

    def _grow(self, height: int) -> None:
        if height > self._image.height:
            taller = Image.new("RGB", (self.width, height), PAPER)
            taller.paste(self._image)
            self._image = taller

    def space(self, pixels: int) -> None:
        """Leaves room above what follows."""
        self.top += pixels

    def words(self, text: str, *, size: int = 15, bold: bool = False, faint: bool = False) -> None:
        """A paragraph, wrapped to the page."""
        face = font(size, bold)
        for line in _wrapped(text, face, self.width - 2 * self.margin):
            self._grow(self.top + round(size * 1.5))
            ImageDraw.Draw(self._image).text((self.margin, self.top), line, FAINT if faint else INK, face)
            self.top += round(size * 1.4)

    def label(self, text: str, centre: int, top: int, *, size: int = 14, bold: bool = False) -> None:
        """One line, centred at x = `centre`."""
        face = font(size, bold)
        self._grow(top + round(size * 1.5))
        ImageDraw.Draw(self._image).text((centre - face.getlength(text) / 2, top), text, INK, face)

    def side_label(self, text: str, left: int, middle: int, *, size: int = 14) -> None:
        """One line that starts at x = `left`, centred at y = `middle`."""
        ImageDraw.Draw(self._image).text((left, middle - size * 0.62), text, INK, font(size))

    def picture(self, image: np.ndarray, left: int, top: int) -> None:
        """uint8[H, W, 3 or 1] with its corner at (left, top)."""
        if image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        self._grow(top + image.shape[0])
        self._image.paste(Image.fromarray(np.ascontiguousarray(image)), (left, top))

    def finish(self) -> np.ndarray:
        """uint8[H, W, 3], with a margin below."""
        self._grow(max(self.top, self._image.height) + self.margin)
        return np.asarray(self._image)


def labelled_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    title: str,
    caption: str = "",
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    size: int = 128,
    gap: int = 4,
) -> np.ndarray:
    """A table of pictures of one size with words around it.

    Args:
        rows: uint8[H, W, C] each, or None for an empty place.
        title, caption: above the table.
        row_labels: at the left, one a row; column_labels: above, one a column.
        size: side of a picture, enlarged to it by LANCZOS.

    Returns:
        uint8[H, W, 3].
    """
    side = max(size, max(max(p.shape[:2]) for row in rows for p in row if p is not None))
    gutter = round(max((font(14).getlength(text) for text in row_labels), default=-12)) + 12
    columns = max(map(len, rows))
    sheet = Sheet(32 + gutter + columns * (side + gap) - gap)
    sheet.words(title, size=18, bold=True)
    if caption:
        sheet.space(2)
        sheet.words(caption, size=13, faint=True)
    sheet.space(10)
    left = sheet.margin + gutter
    for number, text in enumerate(column_labels):
        sheet.label(text, left + number * (side + gap) + side // 2, sheet.top)
    sheet.space(22 if column_labels else 0)
    for number, row in enumerate(rows):
        _add_row(sheet, row, row_labels[number] if number < len(row_labels) else "", left, side, gap)
    sheet.space(-gap)
    return sheet.finish()


def _add_row(sheet: Sheet, row: Sequence[np.ndarray | None], label: str, left: int, side: int, gap: int) -> None:
    for column, image in enumerate(row):
        if image is not None:
            sheet.picture(enlarge(image, side), left + column * (side + gap), sheet.top)
    if label:
        sheet.side_label(label, sheet.margin, sheet.top + side // 2)
    sheet.space(side + gap)


def _wrapped(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
