"""One toy cat, from traits to pixels."""

from dataclasses import asdict

import numpy as np

from sg3x.data.toycats.backdrop import paint_backdrop
from sg3x.data.toycats.canvas import Canvas, Pose
from sg3x.data.toycats.coat import mark
from sg3x.data.toycats.dice import Dice
from sg3x.data.toycats.face import Face, landmarks, shape_face
from sg3x.data.toycats.features import paint_eyes, paint_mouth, paint_muzzle, paint_nose, paint_whiskers
from sg3x.data.toycats.fur import fur_field
from sg3x.data.toycats.head import light_head, paint_bell, paint_body, paint_ears, shape_head
from sg3x.data.toycats.traits import Traits, draw_traits

MIN_SIZE, MAX_SIZE = 16, 1024

# Smaller pictures are painted at no less than this and area-averaged, so that whiskers and pupils come out the same.
_PAINTED_SIZE = 256
_BAND = 128  # rows painted at once


def render_toycat(index: int, *, seed: int, size: int) -> tuple[np.ndarray, dict]:
    """Paints toy cat `index` of the family `seed`.

    The picture is a pure function of (seed, index), the same at every size but for the detail it holds, and made of
    arithmetic that IEEE 754 fixes to the bit.

    Args:
        index: which cat, 0 or more.
        seed: which family, 0 or more.
        size: width and height in pixels, 16..1024.

    Returns:
        uint8[size, size, 3], sRGB, and the cat's attributes, ready for JSON: its traits (see `Traits`) and
        "landmarks", name -> [x, y] in fractions of the frame, (0, 0) the upper left corner; left and right are the
        picture's.

    Raises:
        ValueError: an argument is not an integer or out of range.
    """
    check_integer("index", index, 0)
    check_integer("seed", seed, 0)
    check_integer("size", size, MIN_SIZE, MAX_SIZE)
    index, seed, size = int(index), int(seed), int(size)
    traits = draw_traits(seed, index)
    pose = Pose(traits.scale, (traits.shift_x, traits.shift_y), traits.roll)
    face = shape_face(traits)
    factor = -(-_PAINTED_SIZE // size)
    picture = _area_average(_paint(traits, face, pose, Dice(seed, index), size * factor), factor)
    return picture, {"seed": seed, "index": index, **asdict(traits), "landmarks": landmarks(face, pose)}


def check_integer(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raises ValueError unless `value` is an integer in low..high."""
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not integer or value < low or (high is not None and value > high):
        allowed = f"{low}..{high}" if high is not None else f"{low} or more"
        raise ValueError(f"{name} is {value!r}; it must be an integer, {allowed}")


def _paint(traits: Traits, face: Face, pose: Pose, dice: Dice, size: int) -> np.ndarray:
    """uint8[size, size, 3]."""
    bands = []
    for top in range(0, size, _BAND):
        canvas = Canvas(size, pose, top, min(_BAND, size - top))
        _paint_layers(canvas, traits, face, dice)
        bands.append(canvas.to_uint8())
    return np.concatenate(bands)


def _paint_layers(canvas: Canvas, traits: Traits, face: Face, dice: Dice) -> None:
    """All layers, back to front."""
    markings = mark(traits, dice, fur_field(canvas.x, canvas.y, dice))
    paint_backdrop(canvas, traits, dice)
    paint_body(canvas, markings, traits)
    head = shape_head(canvas, markings)
    paint_ears(canvas, markings, face, head)
    with canvas.layer(head.mask, markings.base):
        markings.paint(canvas)
        paint_muzzle(canvas, markings, face)
        light_head(canvas, markings, head, traits)
    if traits.collar != "none":
        paint_bell(canvas)
    paint_eyes(canvas, markings, face, head, traits)
    paint_nose(canvas, markings, face)
    paint_mouth(canvas, markings, face)
    paint_whiskers(canvas, markings, face, dice)
    for plane, tint in zip(canvas.image, (0.025, 0.005, -0.035), strict=True):
        plane *= np.float32(traits.light * (1 + tint * traits.warmth))


def _area_average(picture: np.ndarray, factor: int) -> np.ndarray:
    """Means of factor x factor pixels, rounded half up; in integers, so exact."""
    if factor == 1:
        return picture
    size = picture.shape[0] // factor
    total = picture.reshape(size, factor, size, factor, 3).sum(axis=(1, 3), dtype=np.uint32)
    return ((2 * total + factor * factor) // (2 * factor * factor)).astype(np.uint8)
