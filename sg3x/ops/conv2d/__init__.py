"""Trainable 2-D convolutions (correlations) on [N, H, W, C], with a formulation each platform is fast at.

XLA's CPU weight gradient of a convolution is about a hundred times slower than a matmul of the same size, so on a CPU it
is written as matmuls; and 3x3 convolutions between many channels with fewer multiplications (`winograd.py`), where those
are what costs. `SG3X_CONV=lax` or `matmul` in the environment overrides the choice.
"""

from __future__ import annotations

import os

import jax

from sg3x.ops.conv2d.matmul import conv2d_matmul, lax_conv
from sg3x.ops.platform import platform

FORMULATIONS = ("lax", "matmul")


def conv2d(x: jax.Array, w: jax.Array, padding: int = 0, stride: int = 1, impl: str | None = None) -> jax.Array:
    """Correlation of x[N, H, W, Cin] with w[kh, kw, Cin, Cout], zero padding on every side.

    Returns:
        [N, H', W', Cout], H' = (H + 2 * padding - kh) // stride + 1. Differentiable to any order.
    """
    impl = impl or os.environ.get("SG3X_CONV") or ("matmul" if platform() == "cpu" else "lax")
    if impl not in FORMULATIONS:
        raise ValueError(f"convolution formulation {impl!r} must be one of {', '.join(FORMULATIONS)}")
    # The matmul formulation's gradients know square kernels that every padded picture is at least as large as.
    if impl == "lax" or w.shape[0] != w.shape[1] or not 0 <= padding < w.shape[0]:
        return lax_conv(x, w, padding, stride)
    return conv2d_matmul(x, w, padding, stride)
