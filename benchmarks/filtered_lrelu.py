"""filtered_lrelu, forward + backward: every formulation against the depthwise form and torch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.baselines import depthwise, with_torch
from benchmarks.harness import compiled, interleaved, keep, report
from sg3x.ops import design_lowpass_filter, filtered_lrelu

# samples, input side, output side, channels, radial. Up 2, down 2, 12 taps each; R filters downwards with 12 x 12. The
# depthwise form takes seconds: short runs leave it out of the largest.
SHAPES = {
    "demo, 42 -> 40, 8 x 32": (8, 42, 40, 32, False),
    "38 -> 36, 1 x 512": (1, 38, 36, 512, False),
    "150 -> 148, 1 x 128": (1, 150, 148, 128, False),
    "R's radial filter, 36 -> 36, 1 x 512": (1, 36, 36, 512, True),
    "R's radial filter, 148 -> 148, 1 x 128": (1, 148, 148, 128, True),
}


def contestants(n: int, size: int, out: int, channels: int, radial: bool, slow: bool) -> dict:
    taps = design_lowpass_filter(12, 8.0, 16.0, 64)
    down = design_lowpass_filter(12, 8.0, 16.0, 64, radial=radial)
    assert taps is not None and down is not None
    total = (out - 1) * 2 + 1 - size * 2 + 22
    pads = (total + 2) // 2, total - (total + 2) // 2
    rng = np.random.RandomState(0)
    x, dy = rng.randn(n, size, size, channels).astype(np.float32), rng.randn(n, out, out, channels).astype(np.float32)
    bias = np.zeros(channels, np.float32)

    def ours(impl):
        def both(x, bias, dy):
            def apply(x, bias):
                return filtered_lrelu(x, taps, down, bias, up=2, down=2, padding=[*pads, *pads], clamp=256.0, impl=impl)

            y, pull = jax.vjp(apply, x, bias)
            return y, pull(dy)

        return compiled(both, x, bias, dy)

    def seed(x, bias, dy):
        y, pull = jax.vjp(lambda x, b: depthwise.filtered_lrelu(x, taps, down, b, 2, 2, pads), x, bias)
        return y, pull(dy)

    tx, tb, tdy = with_torch.tensor(x, True), with_torch.tensor(bias, True), with_torch.tensor(dy)
    tu, td = torch.tensor(taps), torch.tensor(down)

    def in_torch():
        torch.autograd.grad(with_torch.filtered_lrelu(tx, tu, td, tb, 2, 2, pads), (tx, tb), tdy)

    found = {"chunked (CPU's choice)": ours("chunked"), "banded": ours("banded"), "torch": in_torch}
    return found | {"depthwise form": compiled(seed, jnp.asarray(x), bias, dy)} if slow else found


def main(full: bool = False) -> None:
    tables = []
    for name, shape in SHAPES.items():
        found = interleaved(
            contestants(*shape, slow=not shape[4] and (full or shape[1] < 100)), rounds=7 if full else 3
        )
        tables.append(report(f"filtered_lrelu, forward + backward, {name}", found, "chunked (CPU's choice)"))
    keep("filtered_lrelu", tables)
