"""Coats and their patterns: which colour each part of the cat has, and what is painted upon the head."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sg3x.data.toycats.canvas import Canvas
from sg3x.data.toycats.dice import Dice
from sg3x.data.toycats.palette import (
    CALICO_BLACK,
    CALICO_ORANGE,
    COATS,
    POINTS,
    WHITE_FUR,
    Coat,
    Color,
    mix,
)
from sg3x.data.toycats.shapes import Point, ellipse, smooth_min, smooth_step, stroke_frame
from sg3x.data.toycats.traits import Traits

Painter = Callable[[Canvas], None]

# start, end, bend, half widths at start and end; on the picture's right, mirrored for the left
_TABBY_STROKES = (
    ((0.47, -0.33), (0.31, -0.58), 0.02, (0.022, 0.048)),  # the M: outer leg ...
    ((0.31, -0.58), (0.00, -0.33), 0.03, (0.048, 0.030)),  # ... and inner leg, which meets its twin
    ((0.17, -0.60), (0.22, -0.92), 0.01, (0.022, 0.060)),  # the crown
    ((0.43, -0.63), (0.54, -0.84), 0.01, (0.020, 0.055)),
    ((0.00, -0.53), (0.00, -0.92), 0.00, (0.026, 0.065)),
    ((0.63, -0.04), (1.00, -0.18), 0.02, (0.018, 0.052)),  # the line from the eye's corner
    ((0.62, 0.15), (1.04, 0.14), -0.03, (0.014, 0.055)),  # the cheeks
    ((0.55, 0.33), (0.94, 0.45), -0.04, (0.012, 0.052)),
)


@dataclass(frozen=True)
class Markings:
    """Colours by part, and the painter of the pattern."""

    base: Color  # head
    ears: dict[str, Color]
    body: Color
    chest: Color
    chest_amount: float
    muzzle: Color
    muzzle_amount: float
    eye_patch: Color  # fur about the eyes
    eye_patch_amount: float
    nose: Color
    line: Color  # mouth, rims of the eyes
    fur: np.ndarray  # float32[H, W] in -1..1, see fur.py
    fur_contrast: float
    paint: Painter


def mark(traits: Traits, dice: Dice, fur: np.ndarray) -> Markings:
    """The markings that the traits ask for."""
    coat = COATS[traits.coat]
    plain = Markings(
        base=coat.base,
        ears={"left": mix(coat.base, coat.dark, 0.25), "right": mix(coat.base, coat.dark, 0.25)},
        body=mix(coat.base, coat.dark, 0.15),
        chest=coat.light,
        chest_amount=0.35,
        muzzle=coat.light,
        muzzle_amount=0.40,
        eye_patch=coat.light,
        eye_patch_amount=0.20,
        nose=coat.nose,
        line=mix(coat.dark, (0.10, 0.06, 0.08), 0.65),
        fur=fur,
        fur_contrast=0.055,
        paint=lambda canvas: None,
    )
    change = {"solid": _solid, "tabby": _tabby, "calico": _calico, "point": _point, "tuxedo": _tuxedo}[traits.pattern]
    return Markings(**{**vars(plain), **change(traits, coat, dice, fur)})


def _solid(traits: Traits, coat: Coat, dice: Dice, fur: np.ndarray) -> dict:
    return {}


def _tabby(traits: Traits, coat: Coat, dice: Dice, fur: np.ndarray) -> dict:
    boldness = dice.uniform("tabby_boldness", 0.75, 0.95)
    width = dice.uniform("tabby_width", 0.85, 1.15)

    def paint(canvas: Canvas) -> None:
        for (sx, sy), (ex, ey), bend, widths in _TABBY_STROKES:
            for side in (-1, 1):
                canvas.stroke(
                    (side * sx, sy),
                    (side * ex, ey),
                    side * bend,
                    (widths[0] * width, widths[1] * width),
                    coat.dark,
                    opacity=boldness,
                    soft=0.035,
                )

    ear = mix(coat.base, coat.dark, 0.45)
    return {
        "ears": {"left": ear, "right": ear},
        "paint": paint,
        "chest_amount": 0.6,
        "muzzle_amount": 0.85,
        "eye_patch_amount": 0.65,
    }


def _blob(x: np.ndarray, y: np.ndarray, parts: tuple[tuple[Point, Point], ...]) -> np.ndarray:
    """Ellipses (centre, radii) run together."""
    distance = ellipse(x, y, *parts[0])
    for center, radii in parts[1:]:
        distance = smooth_min(distance, ellipse(x, y, center, radii), 0.15)
    return distance


def _calico(traits: Traits, coat: Coat, dice: Dice, fur: np.ndarray) -> dict:
    """White, an orange and a black patch over the eyes, and now and then a spot on a cheek."""
    side = dice.pick("calico_side", (-1, 1))  # of the orange patch
    drop = {name: dice.uniform(f"calico_drop_{name}", -0.12, 0.14) for name in ("orange", "black")}
    spot = dice.chance("calico_spot", 0.5)

    def paint(canvas: Canvas) -> None:
        window = canvas.window((-1.15, -1.0, 1.15, 0.95))
        fringe = window.of(fur) * np.float32(0.04)
        for name, color, turn in (("black", CALICO_BLACK, -side), ("orange", CALICO_ORANGE, side)):
            x, y = window.x * turn, window.y - np.float32(drop[name])
            distance = _blob(x, y, (((0.62, -0.45), (0.48, 0.52)), ((0.52, -0.05), (0.34, 0.32))))
            window.fill(distance + fringe, color, soft=0.03)
        if spot:
            distance = ellipse(window.x * side, window.y, (-0.66, 0.48), (0.24, 0.17))
            window.fill(distance + fringe, CALICO_ORANGE, soft=0.03)

    orange, black = ("left", "right") if side < 0 else ("right", "left")
    return {
        "ears": {orange: mix(CALICO_ORANGE, CALICO_BLACK, 0.10), black: CALICO_BLACK},
        "base": WHITE_FUR,
        "paint": paint,
        "chest": WHITE_FUR,
        "chest_amount": 0.8,
        "muzzle": WHITE_FUR,
        "muzzle_amount": 0.9,
        "eye_patch_amount": 0.0,
        "line": (0.24, 0.16, 0.16),
    }


def _point(traits: Traits, coat: Coat, dice: Dice, fur: np.ndarray) -> dict:
    """A pale cat with a dark mask and dark ears."""
    color = POINTS[traits.points]
    reach = dice.uniform("point_reach", 0.85, 1.15)

    def paint(canvas: Canvas) -> None:
        window = canvas.window((-1.15, -1.0, 1.15, 0.95))
        near = ellipse(window.x, window.y, (0.0, 0.26), (0.50 * reach, 0.50 * reach))
        near += window.of(fur) * np.float32(0.06)
        window.blend(smooth_step(near, 0.24, -0.18) * np.float32(0.88), color)

    return {
        "ears": {"left": color, "right": color},
        "paint": paint,
        "muzzle": mix(color, coat.base, 0.12),
        "muzzle_amount": 0.55,
        "eye_patch": color,
        "eye_patch_amount": 0.40,
        "nose": mix(color, (0.93, 0.62, 0.60), 0.40),
        "line": mix(color, (0.05, 0.03, 0.04), 0.70),
    }


def _tuxedo(traits: Traits, coat: Coat, dice: Dice, fur: np.ndarray) -> dict:
    """A white muzzle, blaze and bib on a coat of one colour."""
    top, width = dice.uniform("blaze_top", -0.70, -0.30), dice.uniform("blaze_width", 0.13, 0.20)

    def paint(canvas: Canvas) -> None:
        window = canvas.window((-1.15, -1.0, 1.15, 0.95))
        along, far = stroke_frame(window.x, window.y, (0.0, 0.40), (0.0, top), 0.0)
        muzzle = ellipse(window.x, window.y, (0.0, 0.54), (0.46, 0.33))
        distance = smooth_min(muzzle, far - np.float32(width) * (1 - 0.85 * along), 0.12)
        window.fill(distance + window.of(fur) * np.float32(0.05), WHITE_FUR, soft=0.03)

    return {
        "paint": paint,
        "chest": WHITE_FUR,
        "chest_amount": 1.0,
        "muzzle": WHITE_FUR,
        "muzzle_amount": 0.9,
        "eye_patch_amount": 0.12,
        "nose": (0.88, 0.56, 0.55),
    }
