"""Sheets and films of a generator: right layers mixed, right places, labelled, and the same bytes every time."""

import jax
import numpy as np
import pytest

from sg3x.drawing.motion import rotation_input, translation_input
from sg3x.drawing.pictures import to_uint8
from sg3x.drawing.plain import PlainGenerator
from sg3x.metrics.motion.equivariance import equivariance
from sg3x.networks import Generator, GeneratorConfig
from sg3x.render.analysis import neighbour_sheet, plot_spectrum
from sg3x.render.explore import mixing_sheet, moved, side_by_side, truncation_sheet, walk_grid
from sg3x.render.sheets import labelled_grid
from sg3x.render.sticking import detail, liveliest_row, motion_film, slit_scan, sticking_sheet


class Painter:
    """A generator whose pictures tell their latents: red is the first half's, green the second half's, shift by x."""

    z_dim, resolution = 2, 16
    w_avg = np.zeros(2, np.float32)

    def mapping(self, z, c=None, truncation_psi=1.0, truncation_cutoff=None):
        return np.repeat(np.tanh(np.asarray(z, np.float32))[:, None], 4, axis=1) * np.float32(truncation_psi)

    def synthesis(self, ws, transform=None):
        ws = np.asarray(ws)
        x = (np.arange(16) + 0.5) / 16 - 0.5 + (0 if transform is None else np.asarray(transform)[..., 0, 2, None])
        images = np.zeros((len(ws), 16, 16, 3), np.float32)
        images[..., 0] = ws[:, 0, 0][:, None, None]
        images[..., 1] = ws[:, 3, 0][:, None, None]
        images[..., 2] = np.sin(2 * np.pi * 3 * x).reshape(-1, 1, 16)
        return images


@pytest.fixture(scope="module")
def real_one():
    config = GeneratorConfig(
        32, z_dim=8, w_dim=8, num_layers=4, num_critical=1, channel_base=128, channel_max=8, margin_size=4
    )
    return Generator(config, key=jax.random.key(0))


def test_mixing_takes_coarse_layers_from_rows_and_fine_ones_from_columns():
    sheet = mixing_sheet(Painter(), [1, 2], [3, 4, 5], batch=4, size=16, truncation_psi=1.0)
    reds = {}
    for seeds in ([1, 2], [3, 4, 5]):
        for seed in seeds:
            value = np.tanh(np.random.RandomState(seed).randn(1, 2)[0, 0])
            reds[seed] = int(np.clip(np.rint(np.float32(value) * 127.5 + 128), 0, 255))
    colours = {tuple(pixel[:2]) for pixel in sheet.reshape(-1, 3).tolist()}
    for row in (1, 2):
        for column in (3, 4, 5):
            assert (reds[row], reds[column]) in colours


def test_truncation_zero_is_the_mean_picture_for_every_seed():
    sheet = truncation_sheet(Painter(), [0, 1, 2], batch=4, size=16, psis=(0.0, 1.0))
    grey = (sheet[..., 0] == 128) & (sheet[..., 1] == 128)
    assert grey.sum() >= 3 * 16 * 16


def test_walks_are_side_by_side_and_closed():
    frames = list(
        walk_grid(Painter(), [[0, 1], [2, 3], [4, 5]], frames=8, columns=2, size=16, batch=4, truncation_psi=1.0)
    )
    assert len(frames) == 8 and frames[0].shape == (2 * 17 + 1, 2 * 17 + 1, 3)
    tiles = np.stack([[f[1 + 17 * (i // 2) :][:16, 1 + 17 * (i % 2) :][:, :16] for f in frames] for i in range(3)])
    colours = tiles[:, :, 0, 0, :2].astype(
        int
    )  # [walk, frame, red and green]: as the latents of the first half and second
    for walk, seeds in enumerate(([0, 1], [2, 3], [4, 5])):
        for place, seed in (
            (0, seeds[0]),
            (4, seeds[1]),
        ):  # of eight frames, the fifth is halfway round: at the other seed
            value = int(np.rint(np.tanh(np.float32(np.random.RandomState(seed).randn(1, 2)[0, 0])) * 127.5 + 128))
            assert abs(colours[walk, place] - min(value, 255)).max() <= 1
    steps = np.abs(np.diff(np.concatenate([colours, colours[:, :1]], axis=1), axis=1)).max(axis=2)
    assert (steps[:, -1] <= steps[:, :-1].max(axis=1) + 1).all()  # back to the first at no larger step than the others
    assert (frames[0][17:33, 18:34] == 255).all()  # no fourth walk


def test_a_slit_scan_follows_the_motion():
    """The scanned wave travels a quarter of the picture: its peak moves by four of 16 pixels."""
    scan = slit_scan(Painter(), np.zeros((1, 4, 2), np.float32), steps=33, row=8)
    assert scan.shape == (33, 16, 3)
    first, last = scan[0, :, 2].astype(float), scan[-1, :, 2].astype(float)
    shifts = [np.abs(np.roll(first, s) - last)[5:-5].sum() for s in range(-6, 7)]
    assert np.argmin(shifts) - 6 in (4, 4 - 5)  # the wave's period is 16 / 3 pixels
    assert detail(scan).shape == (33, 16, 1)


def test_the_scanned_row_is_the_one_with_most_detail():
    picture = np.full((16, 16, 3), 90, np.uint8)
    picture[9, ::2] = 200
    picture[0, ::2] = 255  # the edge is not looked at
    assert liveliest_row(picture) == 9


def test_sheets_are_the_same_bytes_every_time(real_one):
    ws = np.asarray(real_one.mapping(np.ones((1, 8))))
    plain = PlainGenerator(real_one)
    for make in (
        lambda: sticking_sheet(real_one, plain, ws, size=32, decibels=(40.0, None)),
        lambda: motion_film(real_one, plain, ws, frames=3, size=32, rotate=True),
        lambda: truncation_sheet(real_one, [0, 1], batch=4, size=32, psis=(0.5, 1.0)),
    ):
        np.testing.assert_array_equal(make(), make())
    assert motion_film(real_one, plain, ws, frames=3, size=32, rotate=False).shape == (3, 32, 32 * 2 + 8, 3)


def test_the_plain_variant_loses_equivariance(real_one):
    """Zero padding and pixel noise: tens of decibels below the same weights with their filters."""
    draws = {"num_samples": 8, "batch": 4, "metrics": ("eq_t",)}
    free, stuck = equivariance(real_one, **draws)["eq_t"], equivariance(PlainGenerator(real_one), **draws)["eq_t"]
    assert free > 45 and stuck < 30


def test_moved_pictures_are_those_of_the_generator(real_one):
    ws = np.asarray(real_one.mapping(np.ones((1, 8))))
    matrices = [np.eye(3), translation_input(0.25, 0.0), rotation_input(0.5)]
    found = moved(real_one, ws, matrices, batch=2)
    for picture, matrix in zip(found, matrices, strict=True):
        expected = to_uint8(np.asarray(real_one.synthesis(ws, transform=matrix)))[0]
        assert np.abs(picture.astype(int) - expected).max() <= 1  # another batch rounds otherwise
    assert not np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_films_lie_side_by_side_on_white():
    dark, light = (np.full((2, 4, 4, 3), value, np.uint8) for value in (0, 90))
    for frame in side_by_side([dark, light], size=8, gap=2):
        assert frame.shape == (8, 18, 3)
        assert (frame[:, :8] == 0).all() and (frame[:, 8:10] == 255).all() and (frame[:, 10:] == 90).all()


def test_a_grid_with_words_and_an_empty_place():
    tile = np.zeros((8, 8, 3), np.uint8)
    sheet = labelled_grid([[None, tile], [tile]], title="A title that is far too long for so narrow a sheet", size=32,
                          row_labels=["one", "two"], column_labels=["a", "b"])  # fmt: skip
    assert (sheet == 0).all(axis=2).sum() >= 2 * 32 * 32
    assert (sheet[-10:] == 255).all() and (sheet[:, -10:] == 255).all()


def test_the_neighbour_sheet_shows_samples_and_rows():
    real = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (40, 80, 120)])
    entry = {"seed": 7, "rows": [2, 0], "distances": [0.5, 1.0]}
    found = {"first": [entry], "closest": [entry, entry]}
    sheet = neighbour_sheet(found, lambda seed: np.full((8, 8, 3), 200, np.uint8), real, size=16, ratio=1.0)
    counts = [int((sheet == value).all(axis=2).sum()) // 256 for value in (200, 120, 40, 80)]
    assert counts == [3, 3, 3, 0]


def test_the_spectrum_is_drawn_the_same_every_time(tmp_path):
    rows = [
        {"periods": str(i), "real_db": f"{-i}", "samples_db": f"{-1.5 * i}", "ratio_db": f"{-0.5 * i}"}
        for i in range(1, 17)
    ]
    for name in "ab":
        plot_spectrum(tmp_path / name, rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
