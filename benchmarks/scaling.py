"""How a step's time and memory grow with the batch, at the demo's shapes."""

from __future__ import annotations

from functools import partial

import jax

from benchmarks.harness import interleaved, keep, report
from benchmarks.networks import load
from sg3x.training import step


def main(full: bool = False) -> None:
    contestants, memory = {}, {}
    for batch in (4, 8, 16, 32, 64) if full else (4, 16):
        config, state, _, _ = load("demo", batch)
        program = jax.jit(partial(step.generator_phase, config)).lower(state).compile()
        memory[str(batch)] = program.memory_analysis().temp_size_in_bytes
        contestants[f"batch {batch}"] = lambda program=program, state=state: jax.block_until_ready(program(state))
    found = interleaved(contestants, 7)
    keep("scaling", [report("G's phase against the batch, demo", found, "batch 4")], temporaries_bytes=memory)
