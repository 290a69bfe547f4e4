"""Does texture stick to the screen? A picture is slid by its input coordinates, and one line of pixels stacked over time.

Karras et al. 2021 (StyleGAN3), figure 1: where detail moves with the picture, the stack is a field of slanted stripes;
where it is glued to pixels, of vertical ones.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from sg3x.drawing.drawable import Drawable
from sg3x.drawing.motion import rotation_input, translation_input
from sg3x.render.explore import moved, side_by_side
from sg3x.render.images import enlarge
from sg3x.render.sheets import Sheet

_GAP = 12  # pixels between panels
_TRAVEL = 0.25  # of the picture's side, over the whole scan
_CIRCLE = 0.09  # radius of the film's circular motion, of the picture's side


def slit_scan(generator: Drawable, ws: np.ndarray, *, steps: int, row: int) -> np.ndarray:
    """uint8[steps, W, C]: one row of pixels of the picture while it slides right by a quarter of its side."""
    offsets = (np.arange(steps) / max(steps - 1, 1) - 0.5) * _TRAVEL
    frames = moved(generator, ws, [translation_input(float(offset), 0.0) for offset in offsets])
    return frames[:, row]


def liveliest_row(picture: np.ndarray) -> int:
    """The row of uint8[H, W, C], in its middle half, whose neighbouring pixels differ most: where stripes can be seen."""
    change = np.abs(np.diff(picture.astype(np.float64), axis=1)).mean(axis=(1, 2))
    quarter = len(change) // 4
    return quarter + int(change[quarter : len(change) - quarter].argmax())


def detail(scan: np.ndarray) -> np.ndarray:
    """Its brightness uint8[steps, W, 1] with the slow variation along the line removed and contrast raised."""
    x = scan.astype(np.float64).mean(axis=2, keepdims=True)
    kernel = np.hanning(9)[1:-1]
    kernel /= kernel.sum()
    padded = np.pad(x, [(0, 0), (3, 3), (0, 0)], mode="edge")
    slow = sum(weight * padded[:, i : i + x.shape[1]] for i, weight in enumerate(kernel))
    return np.clip(np.rint(128 + 4.0 * (x - slow)), 0, 255).astype(np.uint8)


def sticking_sheet(
    generator: Drawable, plain: Drawable, ws: np.ndarray, *, size: int, decibels: tuple[float | None, float | None]
) -> np.ndarray:
    """The model and its plain variant, each: picture, slit scan, the scan's fine detail.

    Args:
        generator, plain: with `synthesis`; see `sg3x.drawing.plain`.
        ws: float32[1, num_ws, w_dim] of the picture shown.
        size: side of each panel.
        decibels: EQ-T of the two, where known.
    """
    row = liveliest_row(moved(generator, ws, [np.eye(3)])[0])
    sheet = Sheet(32 + 3 * size + 2 * _GAP)
    sheet.words("Does texture stick to the screen?", size=18, bold=True)
    sheet.space(2)
    sheet.words(
        "The picture slides to the right, time runs downwards, and one line of pixels (marked) is stacked. Slanted "
        "stripes: detail moves with the picture. Vertical stripes: it is glued to the pixels.",
        size=13, faint=True,
    )  # fmt: skip
    plainly = "The same weights by StyleGAN2's plain operations (zero padding, no filters, pixel noise)"
    _add_row(sheet, "This model, alias-free", generator, ws, row, size, decibels[0])
    _add_row(sheet, plainly, plain, ws, row, size, decibels[1])
    return sheet.finish()


def _add_row(
    sheet: Sheet, name: str, network: Drawable, ws: np.ndarray, row: int, size: int, value: float | None
) -> None:
    """Heading, picture, slit scan and its detail of one network."""
    sheet.space(14)
    sheet.words(name + (f": EQ-T {value:.1f} dB" if value is not None else ""), size=15, bold=True)
    sheet.space(4)
    picture = moved(network, ws, [np.eye(3)])[0]
    scan = slit_scan(network, ws, steps=size, row=row)
    marked = _marked(enlarge(picture, size), (row + 0.5) / len(picture))
    panels = [marked, _stretched(scan, size), _stretched(detail(scan), size)]
    for number, panel in enumerate(panels):
        sheet.picture(panel, sheet.margin + number * (size + _GAP), sheet.top)
    sheet.space(size + 4)
    for number, text in enumerate(("picture and line", "line over time", "its fine detail, contrast x4")):
        sheet.label(text, sheet.margin + number * (size + _GAP) + size // 2, sheet.top, size=13)
    sheet.space(26)


def motion_film(
    generator: Drawable, plain: Drawable, ws: np.ndarray, *, frames: int, size: int, rotate: bool
) -> np.ndarray:
    """A closed film uint8[frames, H, W, 3]: model and plain variant on a circle of sub-pixel steps, and, for
    configuration R, both turned once around."""
    turns = 2 * np.pi * np.arange(frames) / frames
    circle = [translation_input(float(_CIRCLE * np.sin(t)), float(_CIRCLE * (1 - np.cos(t)))) for t in turns]
    panels = [moved(network, ws, circle) for network in (generator, plain)]
    if rotate:
        spin = [rotation_input(float(t)) for t in turns]
        panels += [moved(network, ws, spin) for network in (generator, plain)]
    return np.stack(list(side_by_side(panels, size=size)))


def _stretched(scan: np.ndarray, size: int) -> np.ndarray:
    """Across to `size` by LANCZOS, down pixel by pixel."""
    flat = Image.fromarray(np.ascontiguousarray(scan if scan.shape[2] == 3 else np.repeat(scan, 3, axis=2)))
    return np.asarray(flat.resize((size, scan.shape[0]), Image.Resampling.LANCZOS))


def _marked(picture: np.ndarray, height: float) -> np.ndarray:
    marked = picture.copy()
    middle = max(1, round(height * len(picture)))
    marked[middle - 1 : middle + 1, ::2] = (255, 255, 255)
    marked[middle - 1 : middle + 1, 1::2] = (0, 0, 0)
    return marked
