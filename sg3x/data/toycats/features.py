"""Eyes, nose, mouth and whiskers: what makes a head a face."""

import numpy as np

from sg3x.data.toycats.canvas import Canvas, Window, sine_cosine
from sg3x.data.toycats.coat import Markings
from sg3x.data.toycats.dice import Dice
from sg3x.data.toycats.face import SIDES, Face
from sg3x.data.toycats.head import Head
from sg3x.data.toycats.palette import EYES, Color, contrast, mix
from sg3x.data.toycats.shapes import Point, circle, ellipse, length, lens, smooth_max, smooth_min, smooth_step
from sg3x.data.toycats.traits import Traits

_WHITE = (1.0, 1.0, 1.0)
_INK = (0.07, 0.05, 0.07)
_EYE_TILT = tuple(np.float32(value) for value in sine_cosine(7.0))  # outer corners up


def paint_muzzle(canvas: Canvas, markings: Markings, face: Face) -> None:
    """The two whisker pads and the chin."""
    window = canvas.window((-0.7, 0.05, 0.7, 0.95))
    if window.empty:
        return
    x = np.abs(window.x - np.float32(face.muzzle_offset))
    fringe = window.of(markings.fur) * np.float32(0.03)
    chin = ellipse(x, window.y, (0.0, 0.63), (0.19, 0.14))
    pads = smooth_min(ellipse(x, window.y, (0.185, 0.475), (0.255, 0.195)), chin, 0.06)
    window.fill(pads + fringe, markings.muzzle, soft=0.10, opacity=markings.muzzle_amount)
    crease = smooth_step(ellipse(x, window.y, (0.185, 0.455), (0.245, 0.18)), -0.01, 0.05) * window.coverage(pads, 0.10)
    window.multiply(1 - crease * np.float32(0.10))


def _eye_frame(window: Window, face: Face, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates about the middle of an eye, x to its outer corner, turned so that the corner lies on the x axis."""
    center = face.eye(side)
    x, y = np.float32(side) * (window.x - np.float32(center[0])), window.y - np.float32(center[1])
    sine, cosine = _EYE_TILT
    return cosine * x - sine * y, cosine * y + sine * x


def paint_eyes(canvas: Canvas, markings: Markings, face: Face, head: Head, traits: Traits) -> None:
    for _, side in SIDES:
        center = face.eye(side)
        window = canvas.window((center[0] - 0.42, center[1] - 0.42, center[0] + 0.42, center[1] + 0.42))
        if window.empty:
            continue
        x, y = _eye_frame(window, face, side)
        wide, high = face.eye_half
        wide *= 1 - 0.07 * side * traits.yaw  # the far eye is seen narrower
        opening = lens(x, y, wide, high)
        patch = smooth_step(opening, 0.16, 0.0) * window.of(head.mask) * np.float32(markings.eye_patch_amount)
        window.blend(patch, markings.eye_patch)
        _paint_eye(window, x, y, opening, (wide, high), side, markings, traits)


def _paint_eye(
    window: Window,
    x: np.ndarray,
    y: np.ndarray,
    opening: np.ndarray,
    half: Point,
    side: int,
    markings: Markings,
    traits: Traits,
) -> None:
    wide, high = half
    lid_line = y + high * np.float32(0.98 - 0.30 * traits.lid) - 0.25 * x * x / wide  # the upper lid, > 0 below it
    opening = smooth_max(opening, -lid_line, 0.03)
    corner = ellipse(x, y, (-wide * 1.02, 0.035), (0.075, 0.032))
    window.fill(smooth_min(opening - 0.038, corner, 0.03), markings.line, soft=0.02)
    iris = window.coverage(opening)
    outer, inner = EYES[traits.eye_color]
    far = length(x, y) / np.float32(wide)
    for plane, low, high_level in zip(window.pixels, inner, outer, strict=True):
        plane += iris * (np.float32(low) + np.float32(high_level - low) * smooth_step(far, 0.35, 1.0) - plane)
    window.multiply(1 - iris * smooth_step(lid_line, 0.16, -0.02) * np.float32(0.45))  # the lid's shadow
    _paint_pupil(window, x, y, iris, half, traits)
    _paint_catchlights(window, x, y, half, side, traits)


def _paint_pupil(window: Window, x: np.ndarray, y: np.ndarray, iris: np.ndarray, half: Point, traits: Traits) -> None:
    if traits.pupil == "round":
        radius = traits.pupil_width * half[0]
        distance = ellipse(x, y, (0.0, 0.0), (radius, radius * 1.08))
    else:
        sine, cosine = _EYE_TILT  # a slit stays upright though the eye is tilted
        distance = lens(cosine * y - sine * x, cosine * x + sine * y, 0.95 * half[1], traits.pupil_width * half[0])
    window.blend(window.coverage(distance) * iris, _INK)


def _paint_catchlights(window: Window, x: np.ndarray, y: np.ndarray, half: Point, side: int, traits: Traits) -> None:
    """A large one towards the light and its small echo opposite; the same way in both eyes."""
    toward = side * (1.0 if traits.light_x >= 0 else -1.0)
    big = (toward * 0.30 * half[0], -0.36 * half[1])
    window.fill(ellipse(x, y, big, (0.26 * half[0], 0.28 * half[1])), _WHITE, opacity=0.95)
    window.fill(circle(x, y, (-toward * 0.34 * half[0], 0.42 * half[1]), 0.11 * half[0]), _WHITE, opacity=0.7)


def paint_nose(canvas: Canvas, markings: Markings, face: Face) -> None:
    """A rounded triangle, point down, lit from above."""
    nx, ny = face.nose
    window = canvas.window((nx - 0.25, ny - 0.2, nx + 0.25, ny + 0.25))
    if window.empty:
        return
    x, y = np.abs(window.x - np.float32(nx)), window.y - np.float32(ny)
    sides = 0.70 * x + 0.714 * y - 0.060
    shape = smooth_max(smooth_max(-y - 0.062, sides, 0.05), x - 0.118, 0.04)
    window.fill(shape - 0.016, mix(markings.nose, _INK, 0.45), soft=0.015)
    window.fill(shape, markings.nose)
    window.fill(ellipse(x, y, (0.0, -0.030), (0.065, 0.018)), mix(markings.nose, _WHITE, 0.55), soft=0.03, opacity=0.7)
    window.fill(ellipse(x, y, (0.052, 0.012), (0.020, 0.012)), mix(markings.nose, _INK, 0.75), soft=0.012)


def paint_mouth(canvas: Canvas, markings: Markings, face: Face) -> None:
    """The line below the nose and the two arcs of the smile."""
    mx, my = face.mouth
    canvas.stroke((face.nose[0], face.nose[1] + 0.07), (mx, my + 0.035), 0.0, (0.013, 0.013), markings.line)
    for side in (-1, 1):
        canvas.stroke((mx, my + 0.03), (mx + side * 0.225, my + 0.035), side * 0.085, (0.016, 0.007), markings.line)


def _whisker_color(markings: Markings) -> Color:
    """Pale, but dark upon a pale muzzle and face."""
    return _WHITE if contrast(markings.base, _WHITE) > 0.25 else mix(markings.line, markings.base, 0.35)


def paint_whiskers(canvas: Canvas, markings: Markings, face: Face, dice: Dice) -> None:
    """Three to a side, and the rows of dots they grow from."""
    color, dots = _whisker_color(markings), mix(markings.line, markings.muzzle, 0.35)
    droop = dice.bell("whisker_droop", 0.06)
    for _, side in SIDES:
        for row, (start_y, end_y, reach) in enumerate(((0.40, 0.24, 1.12), (0.465, 0.48, 1.18), (0.525, 0.70, 1.06))):
            start = (face.muzzle_offset + side * 0.24, start_y)
            end = (face.muzzle_offset + side * reach, end_y + droop + dice.bell(f"whisker_{side}_{row}", 0.03))
            canvas.stroke(start, end, -side * 0.045, (0.0095, 0.003), color, opacity=0.9)
            for column in range(2):
                x = face.muzzle_offset + side * (0.17 + 0.085 * column)
                window = canvas.window((x - 0.03, start_y - 0.03, x + 0.03, start_y + 0.05))
                if not window.empty:
                    window.fill(circle(window.x, window.y, (x, start_y + 0.012 * column), 0.012), dots, opacity=0.7)
