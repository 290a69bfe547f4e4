"""Values of `synthesis(transform=...)` that move the picture: the generator's coordinates go the other way."""

from __future__ import annotations

import numpy as np


def translation_input(tx: float, ty: float) -> np.ndarray:
    """float64[3, 3] that moves the picture right by tx and down by ty of its side."""
    matrix = np.eye(3)
    matrix[:2, 2] = -tx, -ty
    return matrix


def rotation_input(angle: float) -> np.ndarray:
    """float64[3, 3] that rotates the picture by `angle` radians, as `sg3x.metrics.motion.ideal.rotate` does."""
    matrix = np.eye(3)
    matrix[:2, :2] = rotation_matrix(-angle)
    return matrix


def rotation_matrix(angle: float) -> np.ndarray:
    """float64[2, 2] [[cos, sin], [-sin, cos]]: counterclockwise where y points down."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])
