"""filtered_lrelu, forward and backward: each formulation against the plain one (depthwise convolutions), interleaved."""

from __future__ import annotations

import statistics
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.signal import design_lowpass_filter, filtered_lrelu
from sg3x.signal.filtered_lrelu import FORMULATIONS

# name: samples, input side, channels, rounds. Up 2, down 2, 12 taps; output two pixels smaller.
SHAPES = {"demo, 40x40x32": (16, 42, 32, 9), "36x36x512": (1, 38, 512, 5)}


def programs(n: int, size: int, channels: int) -> dict[str, tuple]:
    """Compiled forward+backward of every formulation, with its arguments."""
    taps = design_lowpass_filter(12, 8.0, 16.0, 64)
    rng = np.random.RandomState(0)
    x = jnp.asarray(rng.randn(n, size, size, channels), jnp.float32)
    total = (size - 3) * 2 + 1 - size * 2 + 22

    def both(impl: str, x: jax.Array) -> jax.Array:
        apply = partial(
            filtered_lrelu,
            fu=taps,
            fd=taps,
            up=2,
            down=2,
            padding=[(total + 2) // 2, total - (total + 2) // 2] * 2,
            impl=impl,
        )
        y, pull = jax.vjp(apply, x)
        return pull(y)[0]

    return {impl: (jax.jit(partial(both, impl)).lower(x).compile(), x) for impl in FORMULATIONS}


def main() -> None:
    for name, (n, size, channels, rounds) in SHAPES.items():
        compiled = programs(n, size, channels)
        times: dict[str, list[float]] = {impl: [] for impl in compiled}
        for _ in range(rounds + 1):
            for impl, (program, x) in compiled.items():
                started = time.perf_counter()
                jax.block_until_ready(program(x))
                times[impl].append(time.perf_counter() - started)
        medians = {impl: statistics.median(t[1:]) for impl, t in times.items()}
        for impl, median in medians.items():
            ratio = medians["reference"] / median
            print(
                f"filtered_lrelu fwd+bwd, {name}, {impl:10s} {median * 1e3:9.1f} ms  {ratio:6.1f} x the depthwise form"
            )
