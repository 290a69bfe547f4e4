"""The walk turns about w_avg on great circles, at constant speed, and closes; odd latents do not break it."""

from pathlib import Path

import numpy as np
import pytest

from sg3x.render.walk import slerp, walk_keyframes, walk_latents

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics_features.npz"


class Dots:
    """A mapping network whose w is known."""

    z_dim = 6
    w_avg = np.linspace(-1, 1, 6).astype(np.float32)

    def mapping(self, z, c, truncation_psi, truncation_cutoff):
        assert z.dtype == np.float32 and c is None
        ws = np.repeat(np.tanh(z)[:, None], 3, axis=1)
        ws[:, :truncation_cutoff] = self.w_avg + truncation_psi * (ws[:, :truncation_cutoff] - self.w_avg)
        return ws


def test_slerp_of_unit_vectors_equals_the_reference_implementation():
    with np.load(GOLDEN, allow_pickle=False) as golden:
        a, b, t, expected = (golden[f"slerp/{key}"].astype(np.float64) for key in ("a", "b", "t", "out"))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    for row in range(len(a)):
        np.testing.assert_allclose(slerp(a[row : row + 1], b[row : row + 1], t[row])[0, 0], expected[row], atol=3e-6)


def test_slerp_ends_where_it_should_with_linear_length_and_even_angles():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 8)), 3 * rng.standard_normal((4, 8))
    path = slerp(a, b, np.linspace(0, 1, 11))
    np.testing.assert_allclose(path[[0, -1]], [a, b], atol=1e-12)
    lengths = np.linalg.norm(path, axis=2)
    np.testing.assert_allclose(lengths, np.linspace(lengths[0], lengths[-1], 11), rtol=1e-12)
    unit = path / lengths[..., None]
    angles = np.arccos((unit[1:] * unit[:-1]).sum(axis=2))
    np.testing.assert_allclose(angles, np.broadcast_to(angles[:1], angles.shape), rtol=1e-6)


@pytest.mark.parametrize("scale", [-1.0, -2.5])
def test_opposite_vectors_pass_around_the_centre(scale):
    a = np.array([[3.0, 4.0, 0.0]])
    path = slerp(a, scale * a, np.linspace(0, 1, 9))[:, 0]
    np.testing.assert_allclose(path[[0, -1]], [a[0], scale * a[0]], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), np.linspace(5, -5 * scale, 9), rtol=1e-9)


@pytest.mark.parametrize("angle", [1e-3, 1e-7, 1e-12, np.pi - 1e-3, np.pi - 1e-7, np.pi - 1e-12])
def test_no_jump_near_parallel_and_opposite_vectors(angle):
    a, b = np.array([[1.0, 0.0, 0.0]]), np.array([[np.cos(angle), np.sin(angle), 0.0]])
    path = slerp(a, b, np.linspace(0, 1, 5))[:, 0]
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert np.isfinite(path).all()
    np.testing.assert_allclose(steps, 2 * np.sin(angle / 8), rtol=1e-3, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, rtol=1e-9)


def test_a_vector_without_direction_goes_straight():
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    middle = slerp(*rows, np.array([0.5]))[0]
    np.testing.assert_allclose(middle, [[1.0, 0.0], [np.sqrt(0.5), np.sqrt(0.5)], [0.0, 0.0]], atol=1e-12)


def test_walk_on_one_circle_is_closed_at_constant_speed_though_keyframes_are_not_even():
    angles = np.array([0.0, 0.3, 2.0, 2.9, 4.6])
    w_avg = np.array([5.0, -2.0, 1.0])
    circle = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)[:, None]
    ws = walk_latents(w_avg + 2 * circle, 60, w_avg=w_avg)
    assert ws.shape == (60, 1, 3) and ws.dtype == np.float32
    np.testing.assert_allclose(ws[0], w_avg[None] + 2 * circle[0], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ws[:, 0] - w_avg, axis=1), 2, rtol=1e-5)
    steps = np.linalg.norm(np.diff(ws[:, 0], axis=0, append=ws[:1, 0]), axis=1)
    np.testing.assert_allclose(steps, 4 * np.sin(np.pi / 60), rtol=1e-3)


def test_every_keyframe_is_passed():
    rng = np.random.default_rng(1)
    keyframes, w_avg = rng.standard_normal((4, 3, 16)), rng.standard_normal(16)
    ws = walk_latents(keyframes, 4000, w_avg=w_avg)
    for keyframe in keyframes:
        assert np.linalg.norm((ws - keyframe).reshape(4000, -1), axis=1).min() < 0.03


@pytest.mark.parametrize("count", [1, 3])
def test_equal_keyframes_stand_still(count):
    keyframe = np.arange(8.0).reshape(1, 2, 4)
    ws = walk_latents(np.repeat(keyframe, count, axis=0), 5, w_avg=np.zeros(4))
    np.testing.assert_allclose(ws, np.repeat(keyframe, 5, axis=0), rtol=1e-6)


def test_truncated_to_the_average_stands_still():
    keyframes = walk_keyframes(Dots(), [1, 2, 3], truncation_psi=0.0)
    ws = walk_latents(keyframes, 6, w_avg=Dots.w_avg)
    np.testing.assert_allclose(ws, np.broadcast_to(Dots.w_avg, ws.shape), atol=1e-6)


def test_truncation_reaches_the_generator():
    full, cut = (walk_keyframes(Dots(), [4], truncation_psi=0.5, truncation_cutoff=n) for n in (None, 1))
    np.testing.assert_allclose(full[0, 0], cut[0, 0])
    np.testing.assert_allclose(full[0, 2] - Dots.w_avg, 0.5 * (cut[0, 2] - Dots.w_avg), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("keyframes", "frames", "message"),
    [
        (np.zeros((2, 3, 5)), 4, r"\[K, num_ws, w_dim\]"),
        (np.zeros((0, 3, 4)), 4, "allowed"),
        (np.zeros((2, 3, 4)), 0, "0 frames"),
    ],
)
def test_wrong_arguments_are_named(keyframes, frames, message):
    with pytest.raises(ValueError, match=message):
        walk_latents(keyframes, frames, w_avg=np.zeros(4))
