"""The random network is fixed, indifferent to batching, and its distance ranks what a person would rank."""

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from sg3x.metrics.distances.frechet import feature_statistics, frechet_distance
from sg3x.metrics.features import random as module
from sg3x.metrics.features.random import DIMENSION, random_features

COUNT, SIZE = 300, 32


def faces(count: int, seed: int, size: int = SIZE) -> np.ndarray:
    """uint8[count, size, size, 3] of simple cat heads in random colours and places."""
    rng = np.random.RandomState(seed)
    return np.stack([face(rng, size) for _ in range(count)])


def face(rng: np.random.RandomState, size: int) -> np.ndarray:
    background, fur, eye = (tuple(int(v) for v in rng.randint(30, 250, 3)) for _ in range(3))
    x, y, r = 64 + 8 * rng.randn(), 70 + 6 * rng.randn(), rng.uniform(36, 48)
    picture = Image.new("RGB", (128, 128), background)
    draw = ImageDraw.Draw(picture)
    for side in (-1, 1):
        draw.polygon([(x + side * r * a, y - r * b) for a, b in ((0.95, 0.2), (0.8, 1.4), (0.2, 0.8))], fill=fur)
    draw.ellipse([x - r, y - r, x + r, y + r], fill=fur)
    for side in (-1, 1):
        cx, cy, e = x + side * r * 0.45, y - r * 0.15, r * 0.2
        draw.ellipse([cx - e, cy - e, cx + e, cy + e], fill=eye)
        draw.ellipse([cx - e / 2, cy - e * 0.8, cx + e / 2, cy + e * 0.8], fill=(0, 0, 0))
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(i).filter(ImageFilter.GaussianBlur(sigma))) for i in images])


def noisy(images: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.RandomState(1).randn(*images.shape)
    return np.clip(images + sigma * noise, 0, 255).astype(np.uint8)


def shuffled(images: np.ndarray, fraction: float) -> np.ndarray:
    """That fraction of each picture's 4x4 tiles change places."""
    rng, count, tile = np.random.RandomState(2), len(images), SIZE // 4
    tiles = images.reshape(count, 4, tile, 4, tile, 3).swapaxes(2, 3).reshape(count, 16, tile, tile, 3).copy()
    for picture in tiles:
        chosen = rng.permutation(16)[: round(fraction * 16)]
        picture[chosen] = picture[np.roll(chosen, 1)]
    return tiles.reshape(count, 4, 4, tile, tile, 3).swapaxes(2, 3).reshape(images.shape)


def with_few_modes(images: np.ndarray, share: float) -> np.ndarray:
    return images[np.arange(len(images)) % round(len(images) * (1 - share))]


@pytest.fixture(scope="module")
def distance_to_real():
    real = feature_statistics(random_features(faces(COUNT, 0)))
    return lambda images: frechet_distance(*real, *feature_statistics(random_features(images)))


@pytest.mark.parametrize(
    ("harm", "strengths"),
    [
        (blurred, (0.6, 1.0, 2.0, 4.0)),
        (noisy, (5.0, 12.0, 30.0, 60.0)),
        (shuffled, (0.15, 0.3, 0.6, 1.0)),
        (with_few_modes, (0.5, 0.8, 0.95, 0.99)),
    ],
)
def test_distance_grows_with_the_harm_done(distance_to_real, harm, strengths):
    fresh = faces(COUNT, 1)
    distances = [distance_to_real(fresh)] + [distance_to_real(harm(fresh, strength)) for strength in strengths]
    assert all(b > 1.05 * a for a, b in itertools.pairwise(distances)), distances
    assert distances[-1] > 2 * distances[0]


def test_a_row_depends_on_its_own_picture_only():
    images = faces(41, 3)
    together = random_features(images)
    np.testing.assert_array_equal(random_features(images[33:34]), together[33:34])
    np.testing.assert_array_equal(random_features(images[::-1])[::-1], together)


def test_another_process_gives_the_same_bytes():
    program = (
        "import hashlib, numpy as np; from sg3x.metrics.features.random import random_features as f;"
        "x = np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3)).astype(np.uint8);"
        "print(hashlib.sha256(f(x).tobytes()).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1


def test_the_network_is_the_one_its_name_stands_for():
    """These numbers must never change under the name random-conv-v1: published scores depend on them."""
    digest = hashlib.sha256(b"".join(module._weights()[key].tobytes() for key in sorted(module._weights())))
    assert digest.hexdigest() == "f1018bfce98f47dbd4d348b54cf0ac04da4df064d97cb8085e2abac17778d2cd"
    ramp = np.arange(16 * 16 * 3).reshape(1, 16, 16, 3) % 256
    found = random_features(ramp.astype(np.uint8))[0]
    np.testing.assert_allclose(
        found[[0, 31, 60, 128, 200, 255]],
        [0.0829628, 0.708418, -0.298709, -0.259562, 0.396376, 0.0302083],
        rtol=2e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("size", [16, 40, 200])
def test_any_size_gives_finite_features(size):
    found = random_features(faces(2, 0, size))
    assert found.shape == (2, DIMENSION) and found.dtype == np.float32 and np.isfinite(found).all()


def test_progress_counts_pictures():
    seen = []
    random_features(np.zeros((40, 16, 16, 3), np.uint8), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40) and seen == sorted(seen)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 32, 32, 3), np.float32),
        np.zeros((2, 3, 32, 32), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((0, 32, 32, 3), np.uint8),
    ],
)
def test_other_types_and_shapes_are_refused(images):
    with pytest.raises(ValueError, match=r"allowed is uint8 \[N, R, R, 3\]"):
        random_features(images)
