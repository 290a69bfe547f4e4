"""Seeds and numbers become pictures as everyone's tools expect, in batches of one shape."""

import numpy as np
import pytest

from sg3x.drawing.pictures import draw, sample_images, seed_latents, to_uint8, to_uint8_truncated


class Dots:
    """A generator whose pictures are their latent's first two numbers, and how far the input is moved to the right."""

    z_dim = 6

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, z, truncation_psi=1.0, truncation_cutoff=None):
        return self.synthesis(np.repeat(truncation_psi * np.asarray(z)[:, None], 3, axis=1))

    def synthesis(self, ws, transform=None):
        self.batches.append(len(ws))
        pixel = np.array(ws[:, 0, :3], np.float32) / 2
        pixel[:, 2] = 0 if transform is None else np.asarray(transform)[..., 0, 2]
        return np.broadcast_to(pixel[:, None, None], (len(ws), 4, 4, 3))


def test_rounds_and_clips():
    values = np.array([-9.0, -1.0, -1.004, -0.5, 0.0, 0.003, 0.005, 0.99, 1.0, 9.0], np.float32)
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 0, 64, 128, 128, 129, 254, 255, 255])


def test_every_byte_survives_the_way_there_and_back():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8((levels.astype(np.float32) - 128) / 127.5), levels)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="1 of 4 values"):
        to_uint8(np.array([0.0, bad, 1.0, 2.0]))


def test_nvidias_bytes_drop_the_fraction():
    np.testing.assert_array_equal(to_uint8_truncated(np.array([-9.0, 0.0, 0.005, 0.99, 9.0])), [0, 128, 128, 254, 255])
    with pytest.raises(ValueError, match="1 of 1 values"):
        to_uint8_truncated(np.array([np.nan]))


def test_seeds_are_nvidias():
    z = seed_latents([3, 85], 16)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(z[1], np.random.RandomState(85).randn(1, 16)[0].astype(np.float32))


def test_no_seeds_are_refused():
    with pytest.raises(ValueError, match="seeds is an empty list"):
        seed_latents([], 4)


def test_frames_are_drawn_in_batches_of_one_shape():
    generator = Dots()
    ws = np.random.RandomState(0).randn(11, 3, 6).astype(np.float32)
    frames = list(draw(generator, ws, batch=4))
    assert len(frames) == 11 and generator.batches == [4, 4, 4]
    for frame, w in zip(frames, ws, strict=True):
        assert frame.shape == (4, 4, 3) and frame.dtype == np.uint8
        np.testing.assert_allclose(frame[0, 0, :2], np.clip(w[0, :2] / 2 * 127.5 + 128, 0, 255), atol=0.51)


def test_every_picture_has_its_own_transform_or_all_have_one():
    ws, transforms = np.zeros((5, 3, 6), np.float32), np.stack([np.eye(3)] * 5)
    transforms[:, 0, 2] = [0.1, 0.2, 0.3, 0.4, 0.5]
    own = [int(frame[0, 0, 2]) for frame in draw(Dots(), ws, batch=2, transform=transforms)]
    one = [int(frame[0, 0, 2]) for frame in draw(Dots(), ws, batch=2, transform=transforms[1])]
    assert own == [141, 154, 166, 179, 192] and one == [154] * 5  # rounded x * 127.5 + 128


def test_samples_do_not_depend_on_the_batch():
    generator = Dots()
    found = np.concatenate(list(sample_images(generator, range(3, 10), batch=3, truncation_psi=0.5)))
    assert generator.batches == [3, 3, 3] and len(found) == 7
    np.testing.assert_array_equal(
        found, np.concatenate(list(sample_images(Dots(), range(3, 10), batch=7, truncation_psi=0.5)))
    )


@pytest.mark.parametrize("call", [draw, sample_images])
def test_a_batch_of_nothing_is_named(call):
    with pytest.raises(ValueError, match="batch=0; allowed are 1 and more"):
        next(call(Dots(), np.zeros((1, 3, 6)), batch=0))
