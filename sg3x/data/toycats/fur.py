"""The lie of the fur: smooth noise drawn out along lines that run away from the bridge of the nose."""

import numpy as np

from sg3x.data.toycats.dice import Dice
from sg3x.data.toycats.shapes import length, smooth_step

_STREAKS = 44  # around a quarter turn
_RINGS = 7.0  # along a unit of length
_ROWS = 20  # enough rings for the far corner of the frame
_BRIDGE_Y = 0.12


def _lattice(dice: Dice) -> np.ndarray:
    """float32[_ROWS, 4 * _STREAKS + 2] in -1..1, the noise where rays and rings cross; rays 0 and 1 come again."""
    raw = dice.octets("fur", _ROWS * 4 * _STREAKS)
    table = (np.frombuffer(raw, np.uint8).astype(np.float32).reshape(_ROWS, 4 * _STREAKS) - 127.5) / np.float32(127.5)
    return np.concatenate([table, table[:, :2]], axis=1)


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole part (for an index) and smoothed fraction."""
    whole = values.astype(np.intp)
    t = values - whole.astype(np.float32)
    return whole, t * t * (3 - 2 * t)


def fur_field(x: np.ndarray, y: np.ndarray, dice: Dice) -> np.ndarray:
    """Noise in -1..1 at face coordinates `x`, `y` (float32, one shape), the same shape, float32.

    The angle is the diamond angle (x / (|x|+|y|), unrolled to 0..4), which needs no arctangent.
    """
    y = y - np.float32(_BRIDGE_Y)
    part = x / (np.abs(x) + np.abs(y) + np.float32(1e-6))
    angle = 2 + np.copysign(np.float32(1), y) * (1 - part)
    ray, along = _split(angle * np.float32(_STREAKS))
    radius = length(x, y)
    ring, out = _split(np.minimum(radius * np.float32(_RINGS), np.float32(_ROWS - 1.001)))
    lattice = _lattice(dice)
    table, width = lattice.ravel(), lattice.shape[1]
    corner = ring * width
    corner += ray
    near, far = table[corner], table[width:][corner]
    near += along * (table[1:][corner] - near)
    far += along * (table[width + 1 :][corner] - far)
    near += out * (far - near)
    return near * smooth_step(radius, 0.1, 0.7)  # the rays run together at the bridge
