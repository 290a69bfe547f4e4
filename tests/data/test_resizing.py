"""The geometry of `sg3x.data.pictures`: cropping, padding, resizing."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sg3x.data.pictures import area_resize, crop_box, load_picture, resize, square


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


sides = st.integers(1, 60)


@given(sides, sides)
def test_crop_box_is_the_largest_centred_square(width, height):
    left, top, right, bottom = crop_box(width, height)
    assert right - left == bottom - top == min(width, height)
    assert 0 <= (width - right) - left <= 1
    assert 0 <= (height - bottom) - top <= 1


@settings(max_examples=30, deadline=None)
@given(sides, sides)
def test_crop_is_the_crop_box_of_the_picture(width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    left, top, right, bottom = crop_box(width, height)
    assert np.array_equal(square(Image.fromarray(pixels), "crop"), pixels[top:bottom, left:right])


@settings(max_examples=30, deadline=None)
@given(sides, sides)
def test_pad_keeps_everything_in_the_middle_and_repeats_the_edge(width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    padded, side = np.asarray(square(Image.fromarray(pixels), "pad")), max(width, height)
    top, left = (side - height) // 2, (side - width) // 2
    assert padded.shape == (side, side, 3)
    assert np.array_equal(padded[top : top + height, left : left + width], pixels)
    rows, columns = np.clip(np.arange(side) - top, 0, height - 1), np.clip(np.arange(side) - left, 0, width - 1)
    assert np.array_equal(padded, pixels[rows][:, columns])


def area_by_definition(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """The mean over each output pixel's area, in fractions."""
    size = len(pixels)
    step = Fraction(size, resolution)
    cover = [
        [max(Fraction(0), min(step * (i + 1), j + 1) - max(step * i, j)) for j in range(size)]
        for i in range(resolution)
    ]
    weights = np.array(cover, dtype=object)
    means = np.einsum("ik,klc,jl->ijc", weights, pixels.astype(object), weights) / (step * step)
    return np.vectorize(lambda mean: (2 * mean + 1) // 2, otypes=[np.uint8])(means)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 100))
def test_area_is_the_exact_mean_for_any_ratio(size, resolution, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    assert np.array_equal(area_resize(pixels, resolution), area_by_definition(pixels, resolution))


def test_area_does_not_overflow_on_large_white_pictures():
    assert (area_resize(np.full((4096, 4096, 1), 255, np.uint8), 1000) == 255).all()


@pytest.mark.parametrize("name", ["lanczos", "area"])
def test_resizing_is_antialiased(name):
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * 255
    small = np.asarray(resize(Image.fromarray(np.uint8(checkers)[..., None].repeat(3, axis=2)), 16, name)).astype(int)
    assert np.abs(small - 128).max() <= 12  # without antialiasing: black or white


@pytest.mark.parametrize("name", ["lanczos", "area"])
@pytest.mark.parametrize("size", [16, 40, 7])
def test_flat_pictures_stay_flat(name, size):
    flat = np.full((size, size, 3), 201, np.uint8)
    assert (np.asarray(resize(Image.fromarray(flat), 16, name)) == 201).all()


@pytest.mark.parametrize("name", ["lanczos", "area"])
@pytest.mark.parametrize("nonsquare", ["crop", "pad"])
def test_a_picture_of_the_right_size_is_not_touched(smooth, name, nonsquare):
    pixels, side = load_picture(png(smooth(32, 32)), resolution=32, resize_filter=name, nonsquare=nonsquare)
    assert np.array_equal(pixels, smooth(32, 32))
    assert side == 32


@pytest.mark.parametrize(("nonsquare", "side"), [("crop", 20), ("pad", 30)])
def test_load_tells_the_side_before_resizing(smooth, nonsquare, side):
    content = png(smooth(20, 30))
    pixels, found = load_picture(content, resolution=8, resize_filter="lanczos", nonsquare=nonsquare)
    assert (pixels.shape, pixels.dtype, found) == ((8, 8, 3), np.uint8, side)


def test_the_two_filters_and_the_two_ways_to_square_differ(smooth):
    content = png(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    results = [
        load_picture(content, resolution=8, resize_filter=name, nonsquare=how)[0].tobytes()
        for name in ("lanczos", "area")
        for how in ("crop", "pad")
    ]
    assert len(set(results)) == 4


def test_unknown_settings_name_the_param_and_what_is_allowed():
    image = Image.new("RGB", (4, 8))
    with pytest.raises(ValueError, match=r"prepare\.filter is 'cubic'; allowed are 'lanczos' and 'area'"):
        resize(image, 4, "cubic")
    with pytest.raises(ValueError, match=r"prepare\.nonsquare is 'stretch'; allowed are 'crop' and 'pad'"):
        square(image, "stretch")
    with pytest.raises(ValueError, match="resolution is 0"):
        resize(image, 0, "area")
