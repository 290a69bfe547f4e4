"""A step's phases as programs that are compiled before the loop starts."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from sg3x.training.execute.accumulated import Accumulated
from sg3x.training.execute.compiler import compiler_options
from sg3x.training.execute.memory import explain_out_of_memory, program_bytes
from sg3x.training.execute.microbatches import Microbatches
from sg3x.training.execute.verbs import PerMicrobatch
from sg3x.training.execute.whole import AXIS, Whole
from sg3x.training.objective.phases import OF_PICTURES, PHASES, Batch, phases_of_step
from sg3x.training.state import State, TrainConfig

EVERYWHERE, SPLIT = PartitionSpec(), PartitionSpec(AXIS)


def data_mesh(devices: int | None = None) -> Mesh:
    """The first `devices` devices of all processes (None: all) along one axis."""
    return Mesh(np.array(jax.devices()[:devices]), (AXIS,))


class Step(ABC):
    """A training step, compiled ahead of the loop. Each program takes over (donates) the state it is given."""

    state_sharding: Sharding
    compiled: dict[str, Any]  # name of a phase, or of a part of it -> program

    def __init__(self, config: TrainConfig, mesh: Mesh, state: State, microbatches: Microbatches) -> None:
        started = time.perf_counter()
        self.config, self.mesh, self.microbatches = config, mesh, microbatches
        side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
        lead = (microbatches.count, microbatches.size)[microbatches.executor == "whole" :]
        self.batch_shape = (*lead, side, side, channels)
        with explain_out_of_memory(config, microbatches, mesh.size):
            self.compiled = self._compile(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state))
        self.seconds = time.perf_counter() - started
        # What the largest program of each phase takes of a device, by the compiler's count.
        self.bytes: dict[str, int] = {}
        for name, program in self.compiled.items():
            phase = name.split()[0]
            self.bytes[phase] = max(self.bytes.get(phase, 0), program_bytes(program))
        self.queued: deque[jax.Array] = deque()  # image counters of steps under way: copies that are not donated

    @abstractmethod
    def _compile(self, state: State) -> dict[str, Any]:
        """All programs, for a state of these shapes."""

    @abstractmethod
    def _run(self, phase: str, *values: Any) -> Any:
        """The phase, queued: of the state, and of the pictures if it takes them."""

    @abstractmethod
    def put_batch(self, local: np.ndarray) -> Any:
        """This process's part of the pictures, [microbatches, n, R, R, C] or all [N, R, R, C], on its devices."""

    @abstractmethod
    def local_index(self) -> Any:
        """Which of the microbatches, or of all pictures, are on this process's devices."""

    def describe(self) -> str:
        """How long compiling took, and what each phase needs of a device by the compiler's count."""
        needs = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in self.bytes.items())
        return f"compiled in {self.seconds:.1f} s; memory per device: {needs}"

    def wait_for_queue(self, ahead: int) -> None:
        """Waits until at most `ahead` steps are queued on the device."""
        while len(self.queued) > ahead:
            jax.block_until_ready(self.queued.popleft())

    def __call__(self, state: State, batch: Any, number: int) -> State:
        """The whole step `number` (from 0), queued."""
        *phases, end = phases_of_step(self.config, number)
        for phase in phases:
            state = self._run(phase, state, *([batch] if phase in OF_PICTURES else []))
        state, counter = self._run(end, state)
        self.queued.append(counter)
        return state


class MeshStep(Step):
    """A step over a mesh of devices, each phase one program of all of them: the whole batch, or accumulated."""

    @cached_property
    def trips(self) -> tuple[jax.Array, ...]:
        """`Accumulated.trips` on the devices; made late, for devices that are only described."""
        whole = self.microbatches.executor == "whole"
        return () if whole else (replicate(np.int32(self.microbatches.per_device), self.state_sharding),)

    def _compile(self, state: State) -> dict[str, Any]:
        self.state_sharding = NamedSharding(self.mesh, EVERYWHERE)
        self.split = NamedSharding(self.mesh, SPLIT)
        whole = self.microbatches.executor == "whole"
        on_mesh = partial(jax.ShapeDtypeStruct, sharding=self.state_sharding)
        state = jax.tree.map(lambda x: on_mesh(x.shape, x.dtype), state)
        pictures = Batch(jax.ShapeDtypeStruct(self.batch_shape, np.uint8, sharding=self.split))
        with jax.set_mesh(self.mesh):  # for `shard_batch`
            lowered = {
                name: jax.jit(self._program(name), donate_argnums=0, out_shardings=self.state_sharding).lower(
                    state, *([pictures] if name in OF_PICTURES else []), *([] if whole else [on_mesh((), np.int32)])
                )
                for name in PHASES
            }
        with ThreadPoolExecutor() as pool:  # XLA compiles outside Python's lock
            options = compiler_options(ordered=False)
            programs = pool.map(lambda program: program.compile(compiler_options=options), lowered.values())
            return dict(zip(lowered, programs, strict=True))

    def _program(self, name: str) -> Callable[..., Any]:
        if self.microbatches.executor == "whole":
            return in_one_go(self.config, name)
        phase = PHASES[name]

        def on_each_device(state: State, *values: Any) -> Any:
            *batch, trips = values
            verbs = Accumulated(self.config, self.microbatches, trips)
            return phase(verbs, state, *map(_handles, batch))

        specs = (EVERYWHERE, SPLIT, EVERYWHERE) if name in OF_PICTURES else (EVERYWHERE, EVERYWHERE)
        return jax.shard_map(on_each_device, mesh=self.mesh, in_specs=specs, out_specs=EVERYWHERE, check_vma=False)

    def _run(self, phase: str, *values: Any) -> Any:
        return self.compiled[phase](*values, *self.trips)

    def put_batch(self, local: np.ndarray) -> Batch:
        if jax.process_count() == 1:
            return Batch(jax.device_put(local, self.split))
        with jax.transfer_guard("allow"):  # meant, but not counted as an explicit transfer
            return Batch(jax.make_array_from_process_local_data(self.split, local, self.batch_shape))

    def local_index(self) -> slice:
        places = self.split.addressable_devices_indices_map(self.batch_shape).values()
        spans = [index[0].indices(self.batch_shape[0])[:2] for index in places if index is not None]
        return slice(min(start for start, _ in spans), max(stop for _, stop in spans))


def in_one_go(config: TrainConfig, name: str) -> Callable[..., Any]:
    """The phase as a function of the state, and of the batch of real pictures if it takes them."""
    phase = PHASES[name]
    return lambda state, *batch: phase(Whole(config), state, *map(_handles, batch))


def _handles(batch: Batch) -> Batch:
    return Batch(*map(PerMicrobatch, batch))


def replicate(tree: Any, sharding: Sharding) -> Any:
    """Host values, the same in every process, onto all devices."""

    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def one(x: Any) -> jax.Array:
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    with jax.transfer_guard("allow"):  # meant, but not counted as an explicit transfer
        return jax.tree.map(one, tree)
