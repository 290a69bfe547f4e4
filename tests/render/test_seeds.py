"""Any number of seeds is drawn a part at a time, with the pictures that one run over all of them gives."""

from dataclasses import dataclass

import numpy as np
import pytest

from sg3x.drawing import pictures
from sg3x.render import seeds as drawing
from sg3x.render.images import Grid, image_grid


@dataclass(frozen=True)
class Config:
    c_dim: int = 0
    num_ws: int = 3


class Counting:
    """A network whose pictures show their latents and the batch that they were drawn in; counts what it is asked for."""

    config, z_dim = Config(), 2

    def __init__(self):
        self.mapped, self.batches = [], []

    def mapping(self, z, c, psi, cutoff):
        self.mapped.append(len(z))
        return np.repeat(np.tanh(z)[:, None], 3, axis=1) * psi

    def synthesis(self, ws, transform=None):
        self.batches.append(len(ws))
        shown = np.concatenate([ws.reshape(len(ws), -1), np.full((len(ws), 1), ws.mean())], axis=1)
        return np.repeat(shown[:, None, :, None], 3, axis=3)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(drawing, "_AT_ONCE", 10)


@pytest.mark.parametrize("count", [1, 3, 10, 11, 37])
@pytest.mark.parametrize("batch", [1, 4, 7, 16])
def test_parts_give_the_pictures_of_one_run(small_parts, count, batch):
    seeds = range(5, 5 + count)
    G = Counting()
    mine = list(drawing.draw_rows(G, drawing.SeedLatents(G, seeds, truncation_psi=0.5), count, batch=batch))
    ws = drawing.seed_ws(Counting(), seeds, truncation_psi=0.5)
    whole = list(pictures.draw(Counting(), ws, batch=min(batch, count), quantise=pictures.to_uint8_truncated))
    np.testing.assert_array_equal(mine, whole)
    assert max(G.mapped) <= 10 and set(G.mapped) <= {count, 10} and set(G.batches) == {min(batch, count)}


def test_mixing_gives_rows_styles_and_pairs(small_parts):
    G = Counting()
    rows, styles = (drawing.SeedLatents(G, seeds) for seeds in (range(13), range(20, 33)))
    mixed = drawing.MixedLatents(rows, styles, [0, 2])
    own, theirs = (drawing.seed_ws(Counting(), seeds) for seeds in (range(13), range(20, 33)))
    expected = np.concatenate([own, theirs, drawing.mixed_ws(own, theirs, [0, 2]).reshape(-1, 3, 2)])
    np.testing.assert_array_equal(mixed(0, len(mixed)), expected)
    np.testing.assert_array_equal(mixed(11, 40), expected[11:40])


def test_layers_that_are_not_there_are_refused_before_anything_is_drawn():
    G = Counting()
    latents = drawing.SeedLatents(G, [1])
    with pytest.raises(ValueError, match=r"styles=\[3\]: layers lie in 0\.\.2"):
        drawing.MixedLatents(latents, latents, [3])
    assert not G.mapped


def test_however_many_seeds_are_held_a_part_at_a_time(small_parts):
    G = Counting()
    seen = 0
    for seen, _ in enumerate(drawing.draw_rows(G, drawing.SeedLatents(G, range(500)), 500, batch=4), start=1):
        assert sum(G.mapped) <= seen + 2 * 10
    assert seen == 500


def test_a_grid_picture_by_picture_is_the_grid():
    images = np.random.RandomState(0).randint(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    grid = Grid(5, 2, enlarge_to=9)
    for place in (3, 0, 4, 1, 2):
        grid.add(images[place], place)
    np.testing.assert_array_equal(grid.finish(), image_grid(images, 2, enlarge_to=9))
