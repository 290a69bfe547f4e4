"""filtered_lrelu as one TPU kernel for separable filters: which layers it takes, and their streams (`stream_tpu.py`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import numpy as np

from sg3x.ops.filtered_lrelu.banded import filtered_lrelu_banded
from sg3x.ops.filtered_lrelu.spec import Spec, activate, activation_slope, resamplers
from sg3x.ops.filtered_lrelu.stream_tpu import Source, Stream, fits, run_stream
from sg3x.ops.upfirdn2d.banded import matrices


def pallas_takes(spec: Spec, x: jax.Array) -> bool:
    """True if the kernel knows such a layer; others go the banded way: no FIR, radial ones, rates that do not divide,
    pictures whose rows do not fit into vector memory."""
    separable = all(f is not None and not isinstance(f[0], tuple) for f in (spec.fu, spec.fd))
    square = spec.up[0] == spec.up[1] and spec.down[0] == spec.down[1]
    if not (separable and square and spec.up[0] % spec.down[0] == 0):
        return False
    shapes = x.shape, jax.eval_shape(partial(filtered_lrelu_banded, spec), x).shape
    return all(fits(stream, shapes, x.dtype.itemsize) for stream in _streams(spec, (x.shape[1], x.shape[2])))


def on_each_device(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """function(x) for the samples of each device: the compiler cannot cut a kernel, and would gather the batch."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.manual_axes or mesh.size == 1:
        return function(x)
    split = jax.sharding.PartitionSpec(mesh.axis_names[0])
    return jax.shard_map(function, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)(x)


def _streams(spec: Spec, size: tuple[int, int]) -> tuple[Stream, Stream]:
    """Forward and backward kernels for inputs of `size` (H, W)."""
    assert spec.fu is not None and spec.fd is not None
    up, down = resamplers(spec, size)
    (up_w, _), (down_w, down_h) = matrices(up)[0], matrices(down)[0]
    flip = 1 if spec.flip_filter else -1
    f_up = tuple(spec.up[1] * np.asarray(spec.fu))[::flip]
    f_down = tuple(np.asarray(spec.fd))[::flip]
    # The banded W matrix carries the gain up^2 of both axes; here each axis has its own.
    from_x = Source(f_up, spec.up[1], spec.padding[2], up_w / spec.up[1])
    forward = Stream(
        (from_x,), partial(activate, spec), 0, f_down, spec.down[1], down_w, down_h.shape[0], rows=spec.up[1]
    )
    from_dy = Source(f_down[::-1], spec.down[1], len(f_down) - 1, down_w.T)
    backward = Stream(
        (from_x, from_dy), lambda v, g: g * activation_slope(spec, v), spec.padding[2] - len(f_up) + 1, f_up[::-1],
        spec.up[1], up_w.T / spec.up[1], size[0], rows=spec.up[1],
    )  # fmt: skip
    return forward, backward


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def filtered_lrelu_pallas(spec: Spec, x: jax.Array) -> jax.Array:
    return run_stream(_streams(spec, (x.shape[1], x.shape[2]))[0], x)


def _pallas_fwd(spec: Spec, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return filtered_lrelu_pallas(spec, x), x


def _pallas_bwd(spec: Spec, x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    return (run_stream(_streams(spec, (x.shape[1], x.shape[2]))[1], x, dy),)


filtered_lrelu_pallas.defvjp(_pallas_fwd, _pallas_bwd)
