"""Power spectra of known signals, and the two numbers made of them."""

import numpy as np
import pytest

from sg3x.metrics.distances.spectrum import SpectrumSum, decibel_ratio, spectrum_of, spectrum_scores


def noise(count: int, side: int, seed: int, spread: float = 20.0) -> np.ndarray:
    return np.clip(np.rint(np.random.RandomState(seed).randn(count, side, side, 3) * spread + 128), 0, 255).astype(
        np.uint8
    )


def test_white_noise_is_flat_at_its_variance():
    rings = spectrum_of(noise(400, 32, 0))
    np.testing.assert_allclose(rings[1:], (20 / 127.5) ** 2, rtol=0.04)


@pytest.mark.parametrize("periods", [6, 11])
def test_a_wave_is_in_its_ring(periods):
    x = np.arange(32) / 32
    wave = 128 + 100 * np.sin(2 * np.pi * periods * x)
    along_x = np.broadcast_to(wave[None, :, None], (32, 32, 3))
    for image in (along_x, along_x.transpose(1, 0, 2)):
        rings = spectrum_of(np.rint(image).astype(np.uint8)[None])
        assert rings.argmax() + 1 == periods
        # The wave's power is 0.5 (100 / 127.5)²; a ring is a mean over about 2 pi r coefficients of a window two bins wide.
        near = np.abs(np.arange(1, 17) - periods) <= 3
        assert rings[~near].max() < 1e-4 * rings.max()
        coefficients = 2 * np.pi * np.arange(1, 17)
        assert (rings * coefficients)[near].sum() == pytest.approx(0.5 * (100 / 127.5) ** 2 * 32**2, rel=0.1)


def test_batches_add_up_and_the_order_does_not_matter():
    images = noise(70, 16, 1)
    found = SpectrumSum(16)
    found.add(images[:3])
    found.add(images[3:])
    np.testing.assert_allclose(found.rings(), spectrum_of(images), rtol=1e-12)


def test_blur_shows_as_missing_power_above():
    images = noise(100, 32, 2)
    smooth = np.rint((images + np.roll(images, 1, 2).astype(float)) / 2).astype(np.uint8)
    scores = spectrum_scores(spectrum_of(smooth), spectrum_of(images))
    # Averaging two neighbours along x has the response cos²(pi f), f in periods a pixel along x alone.
    ratio = decibel_ratio(spectrum_of(smooth), spectrum_of(images))
    assert (np.diff(ratio) < 0.2).all() and -0.2 < ratio[0] < 0.05
    response = [np.mean(np.cos(np.pi * r / 32 * np.cos(np.linspace(0, 2 * np.pi, 720))) ** 2) for r in range(1, 17)]
    np.testing.assert_allclose(ratio, 10 * np.log10(response), atol=0.3)
    assert scores["spectrum_high_db"] == pytest.approx(ratio[8:].mean())
    assert scores["spectrum_error_db"] == pytest.approx(np.sqrt((ratio**2).mean()))
    same = spectrum_scores(spectrum_of(images), spectrum_of(images))
    assert same == {"spectrum_error_db": 0.0, "spectrum_high_db": 0.0}


def test_decibels():
    np.testing.assert_allclose(decibel_ratio(np.array([10.0, 1.0]), np.array([1.0, 100.0])), [10, -20])


def test_what_has_no_spectrum_is_refused():
    with pytest.raises(ValueError, match="no pictures"):
        SpectrumSum(16).rings()
    with pytest.raises(ValueError, match="allowed is uint8"):
        SpectrumSum(16).add(noise(1, 32, 0))
    with pytest.raises(ValueError, match="8 and more"):
        SpectrumSum(4)
