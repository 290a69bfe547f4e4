"""The step that params.yaml asks for."""

from __future__ import annotations

from jax.sharding import Mesh

from sg3x.training.execute.compiled import MeshStep, Step
from sg3x.training.execute.microbatches import Microbatches
from sg3x.training.execute.ordered import OrderedStep
from sg3x.training.state import State, TrainConfig


def compile_step(config: TrainConfig, mesh: Mesh, state: State, microbatches: Microbatches) -> Step:
    """The programs of a step for a state of these arrays or shapes."""
    make = OrderedStep if microbatches.executor == "ordered" else MeshStep
    return make(config, mesh, state, microbatches)
