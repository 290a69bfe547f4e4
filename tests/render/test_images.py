"""Files have the same bytes for the same picture, and pictures lie in a grid where one looks for them."""

import time

import numpy as np
import pytest
from PIL import Image

from sg3x.render.images import enlarge, image_grid, save_png


def noise(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(9, 7, 3), (9, 7, 1), (9, 7)])
def test_png_round_trip_with_the_same_bytes_at_another_time(shape, tmp_path):
    image = noise(*shape)
    save_png(tmp_path / "new" / "a.png", image)
    time.sleep(1.1)
    save_png(tmp_path / "b.png", image)
    assert (tmp_path / "new" / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "b.png") as read:
        np.testing.assert_array_equal(np.asarray(read), image.reshape(np.asarray(read).shape))


def test_a_linked_file_is_replaced_and_not_written_through(tmp_path):
    """DVC checks outs out as links into its cache."""
    (tmp_path / "cache").write_bytes(b"cached")
    (tmp_path / "out.png").hardlink_to(tmp_path / "cache")
    save_png(tmp_path / "out.png", noise(4, 4, 3))
    assert (tmp_path / "cache").read_bytes() == b"cached"


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.float32), noise(4, 4, 2), noise(2, 4, 4, 3)])
def test_png_of_anything_else_is_refused(image, tmp_path):
    with pytest.raises(ValueError, match="allowed"):
        save_png(tmp_path / "x.png", image)


def test_grid_places_row_by_row_on_white():
    images = noise(5, 6, 4, 3)
    grid = image_grid(images, 3, gap=2)
    assert grid.shape == (2 * 8 + 2, 3 * 6 + 2, 3)
    np.testing.assert_array_equal(grid[2:8, 2:6], images[0])
    np.testing.assert_array_equal(grid[2:8, 14:18], images[2])
    np.testing.assert_array_equal(grid[10:16, 8:12], images[4])
    covered = np.zeros(grid.shape[:2], bool)
    for index in range(5):
        row, column = divmod(index, 3)
        covered[2 + 8 * row : 8 + 8 * row, 2 + 6 * column : 6 + 6 * column] = True
    assert (grid[~covered] == 255).all()


def test_grid_enlarges_each_picture_by_itself():
    images = np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 200, np.uint8)])
    grid = image_grid(images, 2, enlarge_to=128)
    assert grid.shape == (136, 268, 3)
    assert (grid[4:132, 4:132] == 0).all() and (grid[4:132, 136:264] == 200).all()


def test_enlarging_is_lanczos_and_never_shrinks():
    image = noise(16, 16, 3)
    expected = Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(enlarge(image, 64), np.asarray(expected))
    for size in (None, 8, 16):
        np.testing.assert_array_equal(enlarge(image, size), image)
    assert enlarge(noise(8, 16, 1), 32).shape == (16, 32, 1)


def test_empty_grids_are_refused():
    for images, columns in ((noise(0, 4, 4, 3), 2), (noise(2, 4, 4, 3), 0)):
        with pytest.raises(ValueError, match="allowed are 1 and more"):
            image_grid(images, columns)
