"""Low-pass FIR filters of the alias-free generator (StyleGAN3, appendix C.1 to C.4)."""

from __future__ import annotations

import numpy as np
from scipy.special import j1


def kaiser_beta(attenuation: float) -> float:
    """Kaiser window's shape parameter for a stopband attenuation in dB (Kaiser 1974, the usual three branches)."""
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def kaiser_attenuation(numtaps: int, width: float) -> float:
    """Attenuation in dB that `numtaps` taps reach with a transition band of `width`, as a fraction of Nyquist."""
    return 2.285 * (numtaps - 1) * np.pi * width + 7.95


def design_lowpass_filter(
    numtaps: int,
    cutoff: float,
    width: float,
    fs: float,
    radial: bool = False,
) -> np.ndarray | None:
    """Kaiser-windowed low-pass filter with unit DC gain.

    Args:
        numtaps: filter length; 1 means «no filter».
        cutoff: cut-off frequency, in cycles per unit.
        width: transition band width, in cycles per unit.
        fs: sampling rate, in samples per unit.
        radial: if true, the isotropic jinc filter of configuration R instead of a separable sinc.

    Returns:
        float32[numtaps] (separable), float32[numtaps, numtaps] (radial), or None when `numtaps` is 1.
    """
    if numtaps < 1:
        raise ValueError(f"numtaps={numtaps} must be at least 1")
    if not (cutoff > 0 and width > 0 and fs > 0):
        raise ValueError(f"cutoff={cutoff}, width={width} and fs={fs} must be positive")
    if numtaps == 1:
        return None
    window = np.kaiser(numtaps, kaiser_beta(kaiser_attenuation(numtaps, width / (fs / 2))))
    x = (np.arange(numtaps) - (numtaps - 1) / 2) / fs
    if not radial:
        taps = np.sinc(2 * cutoff * x) * window
    else:
        if numtaps % 2:
            raise ValueError(f"numtaps={numtaps}: a radial filter needs an even number of taps")
        radius = np.hypot(*np.meshgrid(x, x))
        taps = j1(2 * np.pi * cutoff * radius) / (np.pi * radius) * np.outer(window, window)
    return (taps / taps.sum()).astype(np.float32)
