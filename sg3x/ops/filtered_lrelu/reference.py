"""filtered_lrelu by its formula, with depthwise convolutions and automatic differentiation. Plain, and slow."""

from __future__ import annotations

import jax
import numpy as np

from sg3x.ops.filtered_lrelu.spec import Spec, activate
from sg3x.ops.upfirdn2d.reference import upfirdn2d_reference


def filtered_lrelu_reference(spec: Spec, x: jax.Array) -> jax.Array:
    fu = None if spec.fu is None else np.asarray(spec.fu)
    fd = None if spec.fd is None else np.asarray(spec.fd)
    gain = float(spec.up[0] * spec.up[1])
    v = upfirdn2d_reference(x, fu, spec.up, (1, 1), spec.padding, gain, spec.flip_filter)
    return upfirdn2d_reference(activate(spec, v), fd, (1, 1), spec.down, (0, 0, 0, 0), 1.0, spec.flip_filter)
