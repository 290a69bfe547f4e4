"""The soft backgrounds."""

import numpy as np

from sg3x.data.toycats.canvas import Canvas
from sg3x.data.toycats.dice import Dice
from sg3x.data.toycats.palette import BACKDROPS, Color, mix
from sg3x.data.toycats.shapes import length, smooth_step
from sg3x.data.toycats.traits import Traits

_WHITE = (1.0, 1.0, 1.0)


def paint_backdrop(canvas: Canvas, traits: Traits, dice: Dice) -> None:
    """Covers the whole canvas."""
    painter = {"glow": _paint_glow, "horizon": _paint_horizon, "bokeh": _paint_bokeh}[traits.background]
    painter(canvas, *BACKDROPS[traits.backdrop], dice)


def _gradient(canvas: Canvas, amount: np.ndarray, start: Color, end: Color) -> None:
    for plane, low, high in zip(canvas.image, start, end, strict=True):
        plane[...] = np.float32(low) + np.float32(high - low) * amount


def _paint_glow(canvas: Canvas, upper: Color, lower: Color, dice: Dice) -> None:
    """A lit wall: bright behind the head, falling off to the corners."""
    at = dice.uniform("glow_x", -0.4, 0.4), dice.uniform("glow_y", -0.5, 0.1)
    far = length(canvas.u - np.float32(at[0]), canvas.v - np.float32(at[1]))
    _gradient(canvas, smooth_step(far, 1.6, 0.2), mix(upper, (0, 0, 0), 0.10), mix(lower, _WHITE, 0.12))


def _paint_horizon(canvas: Canvas, upper: Color, lower: Color, dice: Dice) -> None:
    """A wall and, out of focus, what the cat sits on."""
    level, tilt = dice.uniform("horizon", 0.15, 0.55), dice.bell("horizon_tilt", 0.15)
    height = canvas.v + np.float32(tilt) * canvas.u
    _gradient(canvas, smooth_step(height, -1.4, 1.4), mix(upper, _WHITE, 0.08), upper)
    amount = smooth_step(height, level - 0.10, level + 0.10)
    canvas.everything().blend(amount, mix(lower, (0, 0, 0), 0.06))


def _paint_bokeh(canvas: Canvas, upper: Color, lower: Color, dice: Dice) -> None:
    """Lights far out of focus."""
    _gradient(canvas, smooth_step(canvas.v, -1.2, 1.2) + np.zeros_like(canvas.u), upper, mix(upper, lower, 0.6))
    for number in range(9):
        u, v = dice.uniform(f"bokeh_x{number}", -1.1, 1.1), dice.uniform(f"bokeh_y{number}", -1.1, 0.7)
        radius = dice.uniform(f"bokeh_r{number}", 0.10, 0.26)
        color = mix(lower, _WHITE, dice.uniform(f"bokeh_w{number}", 0.1, 0.5))
        rows, columns = canvas.row_span((v - radius, v + radius)), canvas.column_span((u - radius, u + radius))
        far = length(canvas.u[:, columns] - np.float32(u), canvas.v[rows] - np.float32(v))
        alpha = smooth_step(far, radius, radius * 0.86) * (0.24 + 0.14 * smooth_step(far, 0.4 * radius, radius))
        for plane, value in zip(canvas.image, color, strict=True):
            part = plane[rows, columns]
            part += alpha * (np.float32(value) - part)
