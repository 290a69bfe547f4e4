"""ADA's augmentation as a share of the step it is part of: the default pipe, at the demo's shapes and at 128x128.

A step augments three times: the generated pictures with a gradient, and again without, and the real ones.
"""

from __future__ import annotations

from dataclasses import replace

import jax

from benchmarks.harness import compiled, interleaved, keep, report
from benchmarks.networks import DEMO, PAPER, load
from sg3x.training.augment import AugmentConfig, augment_images
from sg3x.training.execute.compiled import in_one_go
from sg3x.training.objective.phases import Batch, to_float


def main(full: bool = False) -> None:
    tables = []
    for preset, batch in (DEMO | PAPER if full else DEMO).items():
        config, state, _, real = load(preset, batch)
        config = replace(config, augment=AugmentConfig.preset("bgc"))
        images = to_float(jax.numpy.asarray(real))

        def three(images, p, config=config):  # generated pictures twice, once with a gradient, and real ones
            y, pull = jax.vjp(lambda x: augment_images(x, p, jax.random.key(0), config=config.augment), images)
            other = [augment_images(images, p, jax.random.key(i), config=config.augment) for i in (1, 2)]
            return pull(y), other

        phases = [
            compiled(in_one_go(config, "G"), state),
            compiled(in_one_go(config, "D"), state, Batch(real)),
        ]
        contestants = {
            "augmentation": compiled(three, images, state["ada"]["p"]),
            "the whole step with it": lambda phases=phases: [phase() for phase in phases],
        }
        found = interleaved(contestants, 5)
        tables.append(report(f"augmentation bgc, {preset}, {batch} at a time", found, "augmentation"))
        keep("augmentation", tables)
