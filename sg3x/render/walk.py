"""A closed walk through W: spherical steps between the latents of some seeds, at constant speed, back to the first.

Shoemake 1985, "Animating rotation with quaternion curves", for slerp; Karras et al. 2021 (StyleGAN3) for W and w_avg.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sg3x.drawing.drawable import Drawable
from sg3x.drawing.pictures import seed_latents

_STEPS = 256  # points per segment at which its length is measured
_PARALLEL = 1e-6  # radians: below this a straight line and the arc agree to float64
_NONE = 1e-12  # length of w - w_avg, relative to the loop's longest, that has no direction left


def walk_keyframes(
    generator: Drawable,
    seeds: Sequence[int],
    *,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    c: np.ndarray | None = None,
) -> np.ndarray:
    """Truncated latents float32[len(seeds), num_ws, w_dim] of the seeds; ``c`` float32[len(seeds), c_dim] or None."""
    z = seed_latents(seeds, generator.z_dim)
    return np.asarray(generator.mapping(z, c, truncation_psi, truncation_cutoff), np.float32)


def walk_latents(keyframes: np.ndarray, frames: int, *, w_avg: np.ndarray) -> np.ndarray:
    """Latents of a closed loop through the keyframes.

    Between two keyframes every layer's v = w - w_avg turns along the great circle (`slerp`), while its length goes
    linearly from the one's to the other's: the loop never passes nearer to w_avg, the dull average, than its keyframes
    do. Frames are placed at equal distances along the loop (Euclidean length in W over all layers), so the speed is
    constant, and the distance from the last frame to the first is the same as between any two.

    Args:
        keyframes: float[K, num_ws, w_dim].
        frames: number of frames of the loop; the first is the first keyframe.
        w_avg: float[w_dim], the centre of W.

    Returns:
        float32[frames, num_ws, w_dim].

    Raises:
        ValueError: if there are no keyframes or frames, or shapes do not belong together.
    """
    keyframes, w_avg = np.asarray(keyframes, np.float64), np.asarray(w_avg, np.float64)
    if keyframes.ndim != 3 or len(keyframes) == 0 or w_avg.shape != keyframes.shape[2:]:
        raise ValueError(
            f"keyframes {keyframes.shape} and w_avg {w_avg.shape}; allowed are [K, num_ws, w_dim] and [w_dim]"
        )
    if frames < 1:
        raise ValueError(f"walk has {frames} frames; allowed are 1 and more (walk.frames)")
    offsets = keyframes - w_avg
    following = np.roll(offsets, -1, axis=0)
    segment, t = _even_positions(offsets, following, frames)
    walked = [slerp(offsets[s], following[s], np.array([u]))[0] for s, u in zip(segment, t, strict=True)]
    return (np.stack(walked) + w_avg).astype(np.float32)


def _even_positions(offsets: np.ndarray, following: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Segment int[frames] and place in it float64[frames] in [0, 1), equally far from each other along the loop."""
    grid = np.linspace(0.0, 1.0, _STEPS + 1)
    steps = []
    for a, b in zip(offsets, following, strict=True):
        points = slerp(a, b, grid).reshape(len(grid), -1)
        steps.append(np.linalg.norm(np.diff(points, axis=0), axis=1))
    length = np.concatenate([[0.0], np.cumsum(np.concatenate(steps))])
    if length[-1] == 0:  # one keyframe, or all the same: a still picture
        return np.zeros(frames, int), np.zeros(frames)
    where = np.interp(np.arange(frames) * (length[-1] / frames), length, np.arange(len(length))) / _STEPS
    segment = np.minimum(where.astype(int), len(offsets) - 1)
    return segment, where - segment


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Spherical interpolation of direction, linear interpolation of length, of each row by itself.

    Rows without a direction (a zero vector) and parallel rows go along the straight line. Opposite rows have no one
    great circle: they take the one through the coordinate axis that is most nearly perpendicular to the row.

    Args:
        a, b: float64[L, D], values at t = 0 and t = 1.
        t: float64[T].

    Returns:
        float64[T, L, D].
    """
    length_a, length_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    t = t[:, None, None]
    straight = (1.0 - t) * a + t * b
    directed = np.minimum(length_a, length_b) > _NONE * max(length_a.max(), length_b.max(), np.finfo(float).tiny)
    if not directed.any():
        return straight
    u = a / np.where(directed, length_a, 1.0)[:, None]
    v = b / np.where(directed, length_b, 1.0)[:, None]
    # atan2 keeps its digits where arccos of the dot product loses them: at angles near 0 and pi.
    angle = 2.0 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1))
    side = _perpendicular(u, v)
    turned = np.cos(t * angle[:, None]) * u + np.sin(t * angle[:, None]) * side
    length = (1.0 - t) * length_a[:, None] + t * length_b[:, None]
    return np.where((directed & (angle > _PARALLEL))[:, None], length * turned, straight)


def _perpendicular(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Unit rows float64[L, D] perpendicular to `u` in the plane of `u` and `v`, on the side of `v`."""
    side = v - (u * v).sum(axis=1, keepdims=True) * u
    lost = np.linalg.norm(side, axis=1) < _PARALLEL
    axis = np.eye(u.shape[1])[np.abs(u).argmin(axis=1)]
    axis = axis - (u * axis).sum(axis=1, keepdims=True) * u
    side = np.where(lost[:, None], axis, side)
    norm = np.linalg.norm(side, axis=1, keepdims=True)
    return side / np.where(norm > 0, norm, 1.0)
