"""The two fixed filters of the augmentation pipe: sym6 for resampling, a sym2 filter bank for image-space filtering.

Reference: Karras et al. 2020, "Training generative adversarial networks with limited data" (ADA), appendix B;
the wavelets are those of I. Daubechies, "Ten lectures on wavelets" (1992), chapters 6 and 8.
"""

import numpy as np

# Daubechies' least asymmetric wavelet with 6 vanishing moments (low-pass, L2 normalised, sums to sqrt 2). Choosing the
# roots that give the most linear phase takes a polynomial root finder, whose last bits depend on the machine's LAPACK,
# so the numbers stand here and a test proves them: orthogonal to even shifts, six zeros at the Nyquist frequency.
_SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip


def sym6() -> np.ndarray:
    """Low-pass taps of the sym6 wavelet divided by their sum: float64[12], not symmetric."""
    taps = np.array(_SYM6)
    return taps / taps.sum()


def sym2_filter_bank() -> np.ndarray:
    """Zero-phase octave bands of the sym2 wavelet: float64[4, 43], lowest band first, summing to the unit impulse.

    The autocorrelation of the sym2 low-pass is the half-band filter L(z) = (-1, 0, 9, 16, 9, 0, -1) / 32, that of its
    high-pass is H(z) = 1 - L(z). With k - 1 low-pass stages dilated by powers of two in front, the bands are
    L(z) L(z^2) L(z^4), L(z) L(z^2) H(z^4), L(z) H(z^2) and H(z) (ADA, appendix B): dyadic rationals, hence exact.
    """
    low = np.array([-1.0, 0.0, 9.0, 16.0, 9.0, 0.0, -1.0]) / 32
    impulse = np.zeros(7)
    impulse[3] = 1.0
    bands, product = [], np.ones(1)
    for stage in range(3):
        bands.append(np.convolve(product, _dilate(impulse - low, 2**stage)))
        product = np.convolve(product, _dilate(low, 2**stage))
    bands.append(product)
    return np.stack([np.pad(band, (product.size - band.size) // 2) for band in reversed(bands)])


def _dilate(taps: np.ndarray, factor: int) -> np.ndarray:
    """The filter of z^factor: factor - 1 zeros between neighbouring taps."""
    dilated = np.zeros((taps.size - 1) * factor + 1)
    dilated[::factor] = taps
    return dilated
