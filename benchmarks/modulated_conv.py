"""Modulated convolution, forward + backward: against kernels per sample in groups, and torch; floor: the bare convolution."""

from __future__ import annotations

import jax
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.baselines import depthwise, with_torch
from benchmarks.harness import compiled, interleaved, keep, report
from sg3x.networks import modulated_conv2d

# samples, side, channels in, out; 3x3, padding 2. The grouped form in JAX takes a minute at 512 channels: full runs only.
SHAPES = {"demo, 40, 8 x 32 -> 24": (8, 40, 32, 24), "36, 1 x 512 -> 512": (1, 36, 512, 512)}
FULL = {"148, 1 x 342 -> 256": (1, 148, 342, 256)}


def contestants(n: int, size: int, c_in: int, c_out: int, slow: bool) -> dict:
    rng = np.random.RandomState(0)
    x, s = rng.randn(n, size, size, c_in).astype(np.float32), rng.randn(n, c_in).astype(np.float32)
    w = rng.randn(3, 3, c_in, c_out).astype(np.float32)
    dy = rng.randn(n, size + 2, size + 2, c_out).astype(np.float32)

    def with_gradients(function):
        def both(x, w, s, dy):
            y, pull = jax.vjp(lambda x, w, s: function(x, w, s, padding=2), x, w, s)
            return y, pull(dy)

        return compiled(both, x, w, s, dy)

    tx, ts, tdy = with_torch.tensor(x, True), with_torch.tensor(s, True), with_torch.tensor(dy)
    tw = torch.tensor(np.ascontiguousarray(w.transpose(3, 2, 0, 1)), requires_grad=True)

    def in_torch(function):
        return lambda: torch.autograd.grad(function(tx, tw, ts, 2), (tx, tw, ts), tdy)

    def floor():
        torch.autograd.grad(F.conv2d(tx, tw, padding=2), (tx, tw), tdy)

    found = {
        "ours": with_gradients(modulated_conv2d),
        "torch, grouped": in_torch(with_torch.modulated_conv),
        "torch, scaled": in_torch(with_torch.scaled_conv),
        "torch, bare convolution": floor,
    }
    return found | {"grouped form": with_gradients(depthwise.modulated_conv)} if slow else found


def main(full: bool = False) -> None:
    tables = []
    for name, shape in (SHAPES | FULL if full else SHAPES).items():
        found = interleaved(contestants(*shape, slow=shape[2] < 100), rounds=7 if full else 3)
        tables.append(report(f"modulated convolution, forward + backward, {name}", found, "ours"))
    keep("modulated_conv", tables)
