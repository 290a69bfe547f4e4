"""Landmarks of a face, which the painters and the attributes share."""

from dataclasses import dataclass

from sg3x.data.toycats.canvas import Pose
from sg3x.data.toycats.shapes import Point
from sg3x.data.toycats.traits import Traits

SIDES = (("left", -1), ("right", 1))  # the picture's left and right, not the cat's

_PARALLAX = 0.075  # sideways way of a feature that stands one head's depth out, when the head is fully turned


@dataclass(frozen=True)
class Ear:
    """Corners of an ear, on the picture's right; mirrored for the left."""

    inner: Point
    tip: Point
    outer: Point


@dataclass(frozen=True)
class Face:
    """Proportions of one cat, in face coordinates (see canvas.py)."""

    ear: Ear
    ear_offset: float  # sideways shift of both ears
    eye_offset: float
    muzzle_offset: float
    eye_x: float
    eye_y: float
    eye_half: Point  # half width and half height of the eye
    nose: Point
    mouth: Point

    def eye(self, side: int) -> Point:
        """Middle of an eye; the eye on the far side of a turned head comes nearer to the nose."""
        return side * self.eye_x + self.eye_offset, self.eye_y

    def ear_tip(self, side: int) -> Point:
        return side * self.ear.tip[0] + self.ear_offset, self.ear.tip[1]


def shape_face(traits: Traits) -> Face:
    """The proportions that follow from the traits."""
    turn = traits.yaw * _PARALLAX
    spread, height = traits.ear_spread, traits.ear_height
    return Face(
        ear=Ear(inner=(0.13, -0.62), tip=(0.68 * spread, -0.50 - 0.68 * height), outer=(0.90, -0.16)),
        ear_offset=-0.4 * turn,
        eye_offset=0.9 * turn,
        muzzle_offset=1.3 * turn,
        eye_x=0.385,
        eye_y=-0.01,
        eye_half=(0.235 * traits.eye_size, 0.205 * traits.eye_size),
        nose=(1.4 * turn, 0.315),
        mouth=(1.3 * turn, 0.435),
    )


def landmarks(face: Face, pose: Pose) -> dict[str, list[float]]:
    """Name -> [x, y] in fractions of the frame, (0, 0) its upper left corner."""
    points = {"nose": face.nose, "mouth": face.mouth}
    for name, side in SIDES:
        points[f"{name}_eye"] = face.eye(side)
        points[f"{name}_ear_tip"] = face.ear_tip(side)
    return {name: [round(value, 5) for value in pose.to_fraction(point)] for name, point in sorted(points.items())}
