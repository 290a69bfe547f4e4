"""A TPU v5e's static estimates, by its compiler, with no TPU: formulations of one layer. Needs libtpu.

Layers: four images on one chip, bfloat16, forward + backward. The whole step: `sg3x preflight --target v5e:2x4`.
"""

from __future__ import annotations

from benchmarks.harness import keep

TARGET = "v5e:2x4"
# name: samples a chip, input side, output side, channels
LAYERS = {"L1, 38 -> 36, 512": (4, 38, 36, 512), "L12, 150 -> 148, 256": (4, 150, 148, 256)}


def main(full: bool = False) -> None:
    from sg3x.preflight.target import find_target, prepare_environment

    prepare_environment(TARGET)
    import jax
    import jax.numpy as jnp
    from jax.sharding import SingleDeviceSharding

    from sg3x.preflight.report import read_program
    from sg3x.signal import design_lowpass_filter, filtered_lrelu

    target = find_target(TARGET)
    taps = design_lowpass_filter(12, 8.0, 16.0, 64)
    place = SingleDeviceSharding(target.devices[0])
    rows = []
    for layer, (n, size, out, channels) in LAYERS.items():
        total = (out - 1) * 2 + 1 - size * 2 + 22
        pads = [(total + 2) // 2, total - (total + 2) // 2] * 2
        x = jax.ShapeDtypeStruct((n, size, size, channels), jnp.bfloat16, sharding=place)
        dy = jax.ShapeDtypeStruct((n, out, out, channels), jnp.bfloat16, sharding=place)
        for impl in ("banded", "reference") if full else ("banded",):

            def forward(x, impl=impl, pads=pads):
                return filtered_lrelu(x, taps, taps, up=2, down=2, padding=pads, clamp=256.0, impl=impl)

            def both(x, dy, forward=forward):
                y, pull = jax.vjp(forward, x)
                return y, pull(dy)

            for name, function, arguments in (("forward", forward, (x,)), ("forward + backward", both, (x, dy))):
                phase = read_program(name, jax.jit(function).lower(*arguments).compile())
                assert target.chip is not None
                ms = None if phase.cycles is None else round(phase.cycles / target.chip.clock * 1e3, 3)
                rows.append(
                    {
                        "layer": layer,
                        "formulation": impl,
                        "pass": name,
                        "ms": ms,
                        "temporaries_bytes": phase.temporaries_bytes,
                    }
                )
                print(f"{layer:24} {impl:10} {name:20} {ms} ms", flush=True)
    keep("tpu_static", rows, target=TARGET)
