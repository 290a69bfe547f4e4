"""Signed distances to the few shapes a cat is made of: negative inside, zero on the outline, positive outside.

All take coordinate arrays `x`, `y` (float32, any one shape) in the units of the face and return that shape, float32.
Distances are exact on the outline and good near it, which is all that antialiasing needs.
"""

import numpy as np

Point = tuple[float, float]


def smooth_min(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Union of two shapes, the seam filled to about `radius`."""
    near = np.maximum(radius - np.abs(a - b), 0.0)
    return np.minimum(a, b) - near * near * (0.25 / radius)


def smooth_max(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Intersection of two shapes, the corner rounded to about `radius`."""
    return -smooth_min(-a, -b, radius)


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high` (which may be the smaller of the two), an S in between."""
    t = np.clip((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)


def circle(x: np.ndarray, y: np.ndarray, center: Point, radius: float) -> np.ndarray:
    return length(x - center[0], y - center[1]) - radius


def ellipse(x: np.ndarray, y: np.ndarray, center: Point, radii: Point) -> np.ndarray:
    """First-order distance, after Inigo Quilez: |p|(|p|-1)/|grad|, p in units of the radii."""
    px, py = (x - center[0]) / radii[0], (y - center[1]) / radii[1]
    k0 = length(px, py)
    k1 = length(px / radii[0], py / radii[1])
    return k0 * (k0 - 1.0) / (k1 + 1e-6)


def bulge(x: np.ndarray, y: np.ndarray, start: Point, end: Point, sagitta: float) -> np.ndarray:
    """Disc whose outline runs from `start` to `end`, rising `sagitta` > 0 to the left of that way (y points down)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    chord = (dx * dx + dy * dy) ** 0.5
    radius = (chord * chord / 4 + sagitta * sagitta) / (2 * sagitta)
    reach = (radius - sagitta) / chord
    center = ((start[0] + end[0]) / 2 - dy * reach, (start[1] + end[1]) / 2 + dx * reach)
    return circle(x, y, center, radius)


def lens(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    """Almond about the origin: two arcs that meet at (+-half_width, 0)."""
    radius = (half_width * half_width + half_height * half_height) / (2 * half_height)
    return length(x, np.abs(y) + (radius - half_height)) - radius


def stroke_frame(x: np.ndarray, y: np.ndarray, start: Point, end: Point, bend: float) -> tuple[np.ndarray, np.ndarray]:
    """Along (0..1) and distance from the middle of a brush stroke that sags `bend` to its right halfway."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    span = (dx * dx + dy * dy) ** 0.5
    ux, uy = dx / span, dy / span
    px, py = x - start[0], y - start[1]
    along = px * ux + py * uy
    across = py * ux - px * uy
    t = np.clip(along / span, 0.0, 1.0)
    off = across - (4.0 * bend) * t * (1.0 - t)
    return t, length(along - t * span, off)
