"""The painting ground: pixel centres in the face's own coordinates, and layers blended over one another.

Face coordinates: the origin is the middle of the head, x to the picture's right, y down, the head about 2 wide; the
canvas turns, scales and shifts them into the frame. Frame coordinates run from -1 to 1 both ways.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sg3x.data.toycats.palette import Color
from sg3x.data.toycats.shapes import Point, stroke_frame

Box = tuple[float, float, float, float]  # left, top, right, bottom, in face coordinates


def sine_cosine(degrees: float) -> Point:
    """(sin, cos) by their series, good to 1e-12 for |degrees| < 45, made of + and * alone (see dice.py)."""
    a = degrees * (3.141592653589793 / 180)
    b = a * a
    sine = a * (1 - b / 6 * (1 - b / 20 * (1 - b / 42 * (1 - b / 72 * (1 - b / 110)))))
    cosine = 1 - b / 2 * (1 - b / 12 * (1 - b / 30 * (1 - b / 56 * (1 - b / 90 * (1 - b / 132)))))
    return sine, cosine


@dataclass(frozen=True)
class Pose:
    """Position of the face in the frame."""

    scale: float
    shift: Point
    roll: float  # degrees, clockwise

    def to_frame(self, point: Point) -> Point:
        """Face coordinates -> frame coordinates (-1..1)."""
        sine, cosine = sine_cosine(self.roll)
        x, y = point
        return (
            self.scale * (cosine * x - sine * y) + self.shift[0],
            self.scale * (sine * x + cosine * y) + self.shift[1],
        )

    def to_fraction(self, point: Point) -> Point:
        """Face coordinates -> fractions of the frame, (0, 0) its upper left corner."""
        x, y = self.to_frame(point)
        return (x + 1) / 2, (y + 1) / 2


class Window:
    """A rectangle of the canvas: views of its coordinates and of its pixels."""

    def __init__(self, canvas: "Canvas", rows: slice, columns: slice):
        self.rows, self.columns = rows, columns
        self.x, self.y = canvas.x[rows, columns], canvas.y[rows, columns]
        self.pixels, self.cat = canvas.image[:, rows, columns], canvas.cat[rows, columns]
        self.pixel = canvas.pixel
        self.empty = self.x.size == 0  # off this band: nothing to paint

    def of(self, field: np.ndarray) -> np.ndarray:
        """This window of a field that covers the canvas, [height, size]."""
        return field[self.rows, self.columns]

    def coverage(self, distance: np.ndarray, soft: float = 0.0) -> np.ndarray:
        """Share of each pixel that a shape covers, 0..1; `soft` > 0 blurs the outline to that width."""
        ramp = np.clip(0.5 - distance / max(self.pixel, soft), 0.0, 1.0)
        return ramp * ramp * (3.0 - 2.0 * ramp) if soft > self.pixel else ramp

    def blend(self, alpha: np.ndarray, color: Color) -> None:
        """Lays a colour over the picture, `alpha` of it."""
        for plane, value in zip(self.pixels, color, strict=True):
            plane += alpha * (np.float32(value) - plane)

    def fill(self, distance: np.ndarray, color: Color, soft: float = 0.0, opacity: float = 1.0) -> None:
        """Paints a shape."""
        alpha = self.coverage(distance, soft)
        self.blend(alpha if opacity == 1.0 else alpha * np.float32(opacity), color)

    def stroke_coverage(self, start: Point, end: Point, bend: float, widths: Point, soft: float = 0.0) -> np.ndarray:
        """Coverage of a brush stroke whose half width runs from widths[0] to widths[1]; right for hairs, too."""
        along, distance = stroke_frame(self.x, self.y, start, end, bend)
        half = widths[0] + (widths[1] - widths[0]) * along
        edge = max(self.pixel, soft)
        return np.clip((half - distance) / edge + 0.5, 0.0, np.minimum(1.0, 2.0 * half / edge))

    def multiply(self, factor: np.ndarray) -> None:
        """Shades the picture."""
        self.pixels *= factor


class Canvas:
    """A band of rows of a square picture under way: `image`, [3, height, size], planar float32 sRGB in 0..1.

    Painting knows no neighbours, so a picture painted band by band has the same bytes, and a band stays in the cache.
    """

    def __init__(self, size: int, pose: Pose, top: int, height: int):
        self.size, self.pose, self.top, self.height = size, pose, top, height
        axis = ((np.arange(size, dtype=np.float32) * 2 + 1) / size - 1).astype(np.float32)
        # frame coordinates of the pixel centres, to be broadcast
        self.u, self.v = axis[None, :], axis[top : top + height, None]
        sine, cosine = (np.float32(value / pose.scale) for value in sine_cosine(pose.roll))
        u, v = self.u - np.float32(pose.shift[0]), self.v - np.float32(pose.shift[1])
        self.x, self.y = cosine * u + sine * v, cosine * v - sine * u  # face coordinates
        self.pixel = 2.0 / (size * pose.scale)  # a pixel's width in face coordinates
        self.image = np.zeros((3, height, size), np.float32)
        self.cat = np.zeros((height, size), bool)  # where nothing but cat is seen

    def everything(self) -> Window:
        return Window(self, slice(0, self.height), slice(0, self.size))

    def window(self, box: Box) -> Window:
        """The smallest window that holds a box of the face, with a pixel or two to spare; empty off the frame."""
        left, top, right, bottom = box
        corners = [self.pose.to_frame(p) for p in ((left, top), (right, top), (left, bottom), (right, bottom))]
        return Window(self, self.row_span([v for _, v in corners]), self.column_span([u for u, _ in corners]))

    def column_span(self, positions: Sequence[float]) -> slice:
        """The columns that hold all of some positions on the frame's horizontal axis."""
        return self._span(positions, 0, self.size)

    def row_span(self, positions: Sequence[float]) -> slice:
        """The rows of this band that lie between some positions on the frame's vertical axis."""
        return self._span(positions, self.top, self.height)

    def _span(self, positions: Sequence[float], start: int, count: int) -> slice:
        first = int((min(positions) + 1) / 2 * self.size) - 2 - start
        last = int((max(positions) + 1) / 2 * self.size) + 3 - start
        return slice(min(max(first, 0), count), min(max(last, 0), count))

    def stroke(
        self,
        start: Point,
        end: Point,
        bend: float,
        widths: Point,
        color: Color,
        opacity: float = 1.0,
        soft: float = 0.0,
    ) -> None:
        """One brush stroke, see Window.stroke_coverage."""
        reach = max(widths) + abs(bend) + soft
        window = self.window(
            (
                min(start[0], end[0]) - reach,
                min(start[1], end[1]) - reach,
                max(start[0], end[0]) + reach,
                max(start[1], end[1]) + reach,
            )
        )
        if not window.empty:
            window.blend(window.stroke_coverage(start, end, bend, widths, soft) * np.float32(opacity), color)

    @contextmanager
    def layer(self, mask: np.ndarray, color: Color) -> Iterator[None]:
        """Paints on a sheet of one colour, which is then laid over the picture through `mask`, [height, size].

        So the mask's edge is blended once, and shows nothing of what was painted over within the layer.
        """
        below = self.image
        self.image = np.empty_like(below)
        for plane, value in zip(self.image, color, strict=True):
            plane[...] = np.float32(value)
        yield
        self.image -= below
        self.image *= mask
        self.image += below

    def to_uint8(self) -> np.ndarray:
        """uint8[height, size, 3]; even levels only within the cat (see Canvas).

        In textured fur nobody sees the missing bit, and the PNG files are a sixth smaller; a backdrop would show bands.
        """
        levels = self.image * np.float32(255)
        levels += np.float32(0.5)
        np.clip(levels, 0.0, 255.0, out=levels)
        pixels = np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))
        pixels &= np.where(self.cat, np.uint8(0xFE), np.uint8(0xFF))[:, :, None]
        return pixels
