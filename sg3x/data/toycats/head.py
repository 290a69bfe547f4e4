"""Body, ears and head: the silhouette, its coat and its light."""

from dataclasses import dataclass

import numpy as np

from sg3x.data.toycats.canvas import Canvas, Window
from sg3x.data.toycats.coat import Markings
from sg3x.data.toycats.face import SIDES, Ear, Face
from sg3x.data.toycats.palette import INNER_EAR, Color, contrast, mix, rgb
from sg3x.data.toycats.shapes import Point, bulge, ellipse, smooth_max, smooth_min, smooth_step, stroke_frame
from sg3x.data.toycats.traits import Traits

HEAD_BOX = (-1.15, -1.0, 1.15, 0.95)  # holds the head, its tufts and its fringe
_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_COLLARS = {"red": rgb("cf3d3d"), "blue": rgb("3568b8"), "green": rgb("2f8f6a")}
_BELL = rgb("f2c445")

# start, end and half width of the tufts that make a cat's cheeks, on the picture's right
_CHEEK_TUFTS = (
    ((0.72, 0.10), (1.02, 0.20), 0.10),
    ((0.70, 0.27), (1.03, 0.41), 0.11),
    ((0.60, 0.42), (0.86, 0.62), 0.10),
)


@dataclass(frozen=True)
class Head:
    """The head's outline, which ears, coat and features keep to."""

    distance: np.ndarray  # float32[H, W]
    mask: np.ndarray  # float32[H, W], coverage


def _skull_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Skull, cheeks and chin; `x` is taken from the middle, 0 or more."""
    distance = smooth_min(ellipse(x, y, (0.0, -0.14), (0.82, 0.68)), ellipse(x, y, (0.40, 0.23), (0.53, 0.43)), 0.20)
    return smooth_min(distance, ellipse(x, y, (0.0, 0.44), (0.44, 0.35)), 0.12)


def shape_head(canvas: Canvas, markings: Markings) -> Head:
    """The head's outline: skull, tufts on the cheeks, and a fringe that is longest there."""
    distance = np.ones_like(canvas.x)  # far away, beyond the head's window
    window = canvas.window(HEAD_BOX)
    window.of(distance)[...] = _skull_distance(np.abs(window.x), window.y)
    for side in (-1, 1):
        cheek = canvas.window((0.45, -0.10, 1.15, 0.80) if side > 0 else (-1.15, -0.10, -0.45, 0.80))
        if cheek.empty:
            continue
        x, part = np.float32(side) * cheek.x, cheek.of(distance)
        for start, end, half in _CHEEK_TUFTS:
            along, far = stroke_frame(x, cheek.y, start, end, 0.03)
            part[...] = smooth_min(part, far - half * (1 - along), 0.04)
    distance += markings.fur * (smooth_step(canvas.y, -0.3, 0.5) * np.float32(0.018) + np.float32(0.008))
    mask = canvas.everything().coverage(distance, 0.012)
    canvas.cat |= mask >= 1
    return Head(distance, mask)


def _ear_distance(x: np.ndarray, y: np.ndarray, ear: Ear) -> np.ndarray:
    """Two bulging sides and a rounded tip; the foot is left open, the head covers it."""
    return smooth_max(bulge(x, y, ear.inner, ear.tip, 0.05), bulge(x, y, ear.tip, ear.outer, 0.06), 0.05)


def _inner_ear(ear: Ear) -> Ear:
    """The ear's own shape, drawn in from all sides."""
    foot = (0.40 * ear.inner[0] + 0.60 * ear.outer[0], 0.40 * ear.inner[1] + 0.60 * ear.outer[1])

    def shrink(point: Point, by: float) -> Point:
        return point[0] + (foot[0] - point[0]) * by, point[1] + (foot[1] - point[1]) * by

    return Ear(shrink(ear.inner, 0.36), shrink(ear.tip, 0.22), shrink(ear.outer, 0.36))


def paint_body(canvas: Canvas, markings: Markings, traits: Traits) -> None:
    """Shoulders and chest, in the shade of the head."""
    window = canvas.window((-1.6, 0.35, 1.6, 2.2))
    if window.empty:
        return
    x, y = window.x, window.y
    fringe = window.of(markings.fur) * np.float32(0.03)
    body = smooth_min(ellipse(x, y, (0.0, 1.45), (0.92, 0.95)), ellipse(x, y, (0.0, 0.7), (0.55, 0.6)), 0.25) + fringe
    mask = window.coverage(body, 0.02)
    window.blend(mask, mix(markings.body, _BLACK, 0.10))
    window.cat |= mask >= 1
    chest = window.coverage(ellipse(x, y, (0.0, 1.15), (0.40, 0.62)) + 2 * fringe, 0.30)
    window.blend(mask * chest * np.float32(markings.chest_amount), markings.chest)
    shade = smooth_step(ellipse(x, y, (0.0, 0.35), (0.95, 0.52)), 0.42, 0.0)
    window.multiply(1 - mask * shade * np.float32(0.42))
    if traits.collar != "none":
        _paint_collar(window, mask, _COLLARS[traits.collar])


def _paint_collar(window: Window, body: np.ndarray, color: Color) -> None:
    for rise, half, shown in ((0.0, 0.075, mix(color, _BLACK, 0.25)), (0.015, 0.045, color)):
        start, end = (-0.75, 0.66 - rise), (0.75, 0.66 - rise)
        window.blend(window.stroke_coverage(start, end, 0.23, (half, half)) * body, shown)


def paint_bell(canvas: Canvas) -> None:
    """The collar's bell, which hangs before the chest."""
    window = canvas.window((-0.2, 0.75, 0.2, 1.15))
    if window.empty:
        return
    for center, radii, color in (
        ((0.0, 0.925), (0.105, 0.105), mix(_BELL, _BLACK, 0.45)),
        ((0.0, 0.92), (0.088, 0.088), _BELL),
        ((-0.03, 0.89), (0.03, 0.025), mix(_BELL, _WHITE, 0.7)),
        ((0.0, 0.955), (0.022, 0.022), mix(_BELL, _BLACK, 0.7)),
    ):
        window.fill(ellipse(window.x, window.y, center, radii), color)


def paint_ears(canvas: Canvas, markings: Markings, face: Face, head: Head) -> None:
    """Both ears, to be painted before the head, which covers their feet and shades them."""
    for name, side in SIDES:
        window = canvas.window((0.0, -1.35, 1.05, 0.0) if side > 0 else (-1.05, -1.35, 0.0, 0.0))
        if window.empty:
            continue
        x = np.float32(side) * (window.x - np.float32(face.ear_offset))
        color = markings.ears[name]
        outer = _ear_distance(x, window.y, face.ear) + window.of(markings.fur) * np.float32(0.010)
        mask = window.coverage(outer, 0.012)
        window.blend(mask, color)
        window.cat |= mask >= 1
        window.multiply(1 - mask * smooth_step(outer, -0.10, 0.0) * np.float32(0.16))
        _paint_inner_ear(window, x, face, color)
        _paint_ear_tufts(canvas, face, side, mix(color, markings.chest, 0.65))
        window.multiply(1 - mask * smooth_step(window.of(head.distance), 0.16, 0.0) * np.float32(0.25))


def _paint_inner_ear(window: Window, x: np.ndarray, face: Face, color: Color) -> None:
    inner = _ear_distance(x, window.y, _inner_ear(face.ear))
    mask = window.coverage(inner, 0.03)
    window.blend(mask, mix(INNER_EAR, color, 0.16))
    depth = smooth_step(window.y, -0.95, -0.50) * np.float32(0.30) + smooth_step(inner, -0.10, 0.0) * np.float32(0.18)
    window.multiply(1 - mask * depth)


def _paint_ear_tufts(canvas: Canvas, face: Face, side: int, color: Color) -> None:
    """The pale hairs that grow from the inner edge across the ear."""

    def at(point: Point) -> Point:
        return side * point[0] + face.ear_offset, point[1]

    ear = face.ear
    for number in range(6):
        t = 0.10 + 0.13 * number
        start = (
            ear.inner[0] + (ear.tip[0] - ear.inner[0]) * t * 0.72 + 0.10,
            ear.inner[1] + (ear.tip[1] - ear.inner[1]) * t * 0.72 + 0.12,
        )
        end = (start[0] + 0.24 - 0.05 * t, start[1] - 0.17 + 0.10 * t)
        canvas.stroke(at(start), at(end), -side * 0.03, (0.034, 0.003), color, opacity=0.75)


def light_head(canvas: Canvas, markings: Markings, head: Head, traits: Traits) -> None:
    """Shades the head as a dome lit from above and from one side, and combs the fur."""
    window = canvas.window(HEAD_BOX)
    nx, ny = window.x, window.y * np.float32(1.15)
    nz = np.sqrt(np.maximum(1 - 0.85 * (nx * nx + ny * ny), 0.03))
    lambert = np.float32(0.40 * traits.light_x) * nx - 0.50 * ny + 0.75 * nz
    edge = smooth_step(window.of(head.distance), -0.16, 0.0)
    window.multiply(0.78 + 0.28 * lambert - 0.12 * edge + np.float32(markings.fur_contrast) * window.of(markings.fur))
    sheen = smooth_step(lambert, 0.70, 1.05) * np.float32(0.05 + 0.22 * contrast(markings.base, _WHITE))
    window.blend(sheen, mix(markings.base, _WHITE, 0.5))
