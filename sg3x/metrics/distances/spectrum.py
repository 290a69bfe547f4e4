"""Power spectra of pictures, averaged over directions: does the generator make detail as fine as the real pictures'?

Karras et al. 2021 (StyleGAN3), appendix A, figure 13: the mean power spectrum under a separable Kaiser window (beta 8),
whose side lobes lie below what pictures hold at high frequencies. Here it is averaged over rings of whole frequencies.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_BETA = 8.0
_AT_ONCE = 64


class SpectrumSum:
    """The mean power spectrum of pictures that are met batch by batch."""

    def __init__(self, resolution: int) -> None:
        if resolution < 8:
            raise ValueError(f"pictures are {resolution} pixels wide; allowed are 8 and more")
        self.resolution = resolution
        self._power = np.zeros((resolution, resolution // 2 + 1))
        self._count = 0

    def add(self, images: np.ndarray) -> None:
        """Takes in uint8[N, R, R, C]."""
        expected = (self.resolution, self.resolution)
        if images.ndim != 4 or images.shape[1:3] != expected or images.dtype != np.uint8:
            raise ValueError(f"images are {images.dtype} {images.shape}; allowed is uint8 [N, {expected[0]}, ..., C]")
        for start in range(0, len(images), _AT_ONCE):
            x = images[start : start + _AT_ONCE].astype(np.float64) / 127.5 - 1.0
            # Without the mean of each picture and channel, which the window would spread over the lowest rings.
            x = (x - x.mean(axis=(1, 2), keepdims=True)) * _window(self.resolution)[:, :, None]
            self._power += (np.abs(np.fft.rfft2(x, axes=(1, 2))) ** 2).mean(axis=3).sum(axis=0)
            self._count += len(x)

    def rings(self) -> np.ndarray:
        """float64[R/2]: mean power at 1, 2, ..., R/2 periods per picture; white noise has its variance in every ring."""
        if self._count == 0:
            raise ValueError("the power spectrum of no pictures; allowed are 1 and more")
        normal = self._count * (_window(self.resolution) ** 2).sum()
        labels, weights = _rings(self.resolution)
        size = self.resolution // 2 + 1
        total = np.bincount(labels, (self._power * weights).ravel(), size)
        return (total / np.bincount(labels, weights.ravel(), size))[1:] / normal


def spectrum_of(images: np.ndarray) -> np.ndarray:
    """`SpectrumSum.rings` of uint8[N, R, R, C], array or memory map."""
    found = SpectrumSum(images.shape[1])
    for start in range(0, len(images), _AT_ONCE):
        found.add(np.asarray(images[start : start + _AT_ONCE]))
    return found.rings()


def decibel_ratio(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """10 log10 of the samples' power over the real pictures', ring by ring."""
    return 10.0 * np.log10(np.maximum(fake, 1e-20) / np.maximum(real, 1e-20))


def spectrum_scores(fake: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """``spectrum_error_db``: root mean square of the ratio in dB over all rings; ``spectrum_high_db``: its mean over the
    upper octave (above a quarter of the sampling rate): negative where samples are too smooth, positive where they
    are too noisy. Zero is perfect.
    """
    if fake.shape != real.shape:
        raise ValueError(f"spectra of {len(fake)} and {len(real)} rings; allowed is the same resolution")
    ratio = decibel_ratio(fake, real)
    return {
        "spectrum_error_db": float(np.sqrt((ratio**2).mean())),
        "spectrum_high_db": float(ratio[len(ratio) // 2 :].mean()),
    }


@cache
def _window(resolution: int) -> np.ndarray:
    line = np.kaiser(resolution, _BETA)
    return np.outer(line, line)


@cache
def _rings(resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Ring number int[R * (R/2+1)] of each coefficient of `rfft2` (0: none), and how many coefficients it stands for."""
    y = np.fft.fftfreq(resolution, 1 / resolution)[:, None]
    x = np.fft.rfftfreq(resolution, 1 / resolution)[None, :]
    radius = np.rint(np.hypot(y, x)).astype(int)
    weights = np.where((x == 0) | ((x == resolution / 2) & (resolution % 2 == 0)), 1.0, 2.0) * np.ones_like(y)
    return np.where(radius > resolution // 2, 0, radius).ravel(), weights
