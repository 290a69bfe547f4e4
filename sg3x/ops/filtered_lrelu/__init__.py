"""filtered_lrelu: the alias-free nonlinearity (StyleGAN3, sections 2.1 and 3.2, appendix D).

    y = down( fd * clamp( gain * lrelu( up^2 * fu * pad( zero_insert( x + b ) ) ) ) )

Formulations behind one signature, all held to the same golden arrays:
* "reference": the formula, with depthwise convolutions and automatic differentiation. Slow.
* "banded": both FIRs as banded matrices along H and W, with a hand-written gradient that keeps only x. TPU and GPU.
* "chunked": both FIRs in polyphase form, a few channels of one picture at a time, so that the rows a FIR reads stay in a
  CPU's cache; the same gradient. CPU.
* "pallas": one TPU kernel for separable filters, the high-rate signal never leaving vector memory; see `pallas_tpu.py`.
`SG3X_FILTERED_LRELU`, set to one of these names in the environment, overrides the choice everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.ops.calling import picture_operator
from sg3x.ops.filtered_lrelu.banded import filtered_lrelu_banded
from sg3x.ops.filtered_lrelu.chunked import filtered_lrelu_chunked
from sg3x.ops.filtered_lrelu.pallas_tpu import filtered_lrelu_pallas, on_each_device, pallas_takes
from sg3x.ops.filtered_lrelu.reference import filtered_lrelu_reference
from sg3x.ops.filtered_lrelu.spec import Spec
from sg3x.ops.fir import as_taps
from sg3x.ops.platform import on_one_device, platform
from sg3x.ops.upfirdn2d import parse_padding, parse_pair

FORMULATIONS = ("banded", "chunked", "pallas", "reference")
PALLAS_CHANNELS = 96


@picture_operator
def filtered_lrelu(
    x: jax.Array,
    fu: np.ndarray | None = None,
    fd: np.ndarray | None = None,
    b: jax.Array | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = 2**0.5,
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
    impl: str | None = None,
) -> jax.Array:
    """Bias, upsampling FIR, leaky ReLU, clamp and downsampling FIR.

    Args:
        x: float[N, H, W, C].
        fu, fd: up- and downsampling filters, float[taps] or float[taps, taps]; None is the identity. Not traced.
        b: float[C], added before the zero padding; None for no bias.
        up, down: integer factors.
        padding: on the upsampled grid, before `fu`: scalar, [x, y] or [x0, x1, y0, y1]; negative crops.
        gain, slope: of the leaky ReLU. clamp: largest magnitude after the gain, at the high rate; None for no limit.
        flip_filter: true filters by correlation instead of convolution.
        impl: formulation; None takes `SG3X_FILTERED_LRELU`, or what is best for the platform.

    Returns:
        float[N, H', W', C], H' = floor((H * up + y0 + y1 - (taps_u - 1) - (taps_d - 1) + down - 1) / down).
    """
    x = jnp.asarray(x)
    impl = impl or os.environ.get("SG3X_FILTERED_LRELU") or default_formulation(x.shape[3])
    if impl not in FORMULATIONS:
        raise ValueError(f"filtered_lrelu formulation {impl!r} must be one of {', '.join(FORMULATIONS)}")
    if clamp is not None and clamp < 0:
        raise ValueError(f"clamp={clamp} must be None or at least 0")
    fu_taps = as_taps(None if fu is None else np.asarray(fu))
    fd_taps = as_taps(None if fd is None else np.asarray(fd))
    spec = Spec(
        fu_taps, fd_taps, parse_pair(up, "up"), parse_pair(down, "down"), parse_padding(padding),
        float(gain), float(slope), None if clamp is None else float(clamp), flip_filter,
    )  # fmt: skip
    if b is not None:
        x = x + jnp.asarray(b, x.dtype)
    if impl == "reference":
        return filtered_lrelu_reference(spec, x)
    if impl == "pallas" and pallas_takes(spec, x):
        return on_each_device(partial(filtered_lrelu_pallas, spec), x)
    return filtered_lrelu_chunked(spec, x) if impl == "chunked" else filtered_lrelu_banded(spec, x)


def default_formulation(channels: int) -> str:
    """The platform's fastest formulation.

    Chunked on a CPU that is one device (cutting a batch that is spread over several would gather it). On a TPU the kernel,
    where its 128 lanes are mostly used: by the compiler's estimates twice as fast as banded matrices at 148x148.
    """
    # On several devices without a mesh in force the compiler would gather the batch for a kernel.
    spread = on_one_device() or not jax.sharding.get_abstract_mesh().empty
    if platform() == "tpu" and channels >= PALLAS_CHANNELS and spread:
        return "pallas"
    return "chunked" if platform() == "cpu" and on_one_device() else "banded"
