"""A step's phases as programs that are compiled before the loop starts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from sg3x.training import parts, step
from sg3x.training.compiler import compiler_options
from sg3x.training.layout import AXIS, Layout
from sg3x.training.memory import explain_out_of_memory, program_bytes
from sg3x.training.state import State, TrainConfig

REPLICATED = PartitionSpec()


def data_mesh(devices: int | None = None) -> Mesh:
    """The first `devices` devices of all processes (None: all) along one axis."""
    return Mesh(np.array(jax.devices()[:devices]), (AXIS,))


class Programs:
    """The phases of a step, compiled ahead of the loop; each takes over (donates) the state it is given.

    `layout` None: the whole batch in one go, the pictures being uint8[N, R, R, C] in the order of the batch. Otherwise unit by
    unit, the pictures being uint8[devices * per_device, unit, R, R, C] (`Layout.arrange`). Both split along the first axis.
    """

    def __init__(self, config: TrainConfig, mesh: Mesh, state: State, layout: Layout | None = None) -> None:
        started = time.perf_counter()
        self.config, self.mesh, self.layout = config, mesh, layout
        self.replicated: Sharding = NamedSharding(mesh, REPLICATED)
        self.split = NamedSharding(mesh, PartitionSpec(AXIS))
        side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
        lead = (config.batch_size,) if layout is None else (layout.devices * layout.per_device, layout.unit)
        self.batch_shape = (*lead, side, side, channels)
        with explain_out_of_memory(config, layout, mesh.size):
            self.compiled = self._compile(state)
        self.seconds = time.perf_counter() - started
        self.bytes = self.count_bytes()
        self.queued: deque[jax.Array] = deque()  # image counters of steps under way: copies that are not donated

    @cached_property
    def trips(self) -> tuple[jax.Array, ...]:
        """How many units a device has, on the devices, for `Layout.map_units`; made late, for devices that are only described."""
        return () if self.layout is None else (replicate(np.int32(self.layout.per_device), self.replicated),)

    def _phases(self) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
        """name -> (function of the state and what follows, shapes of what follows)."""
        batch = jax.ShapeDtypeStruct(self.batch_shape, np.uint8, sharding=self.split)
        if self.layout is None:
            return {
                "G": (partial(step.generator_phase, self.config), ()),
                "D": (partial(step.discriminator_phase, self.config), (batch,)),
                "R1": (partial(step.r1_phase, self.config), (batch,)),
                "end": (self._end, ()),
            }
        trips = jax.ShapeDtypeStruct((), np.int32, sharding=self.replicated)
        return {
            "G": (self._in_units(parts.generator_phase), (trips,)),
            "D": (self._in_units(parts.discriminator_phase, REPLICATED, PartitionSpec(AXIS)), (trips, batch)),
            "R1": (self._in_units(parts.r1_phase, REPLICATED, PartitionSpec(AXIS)), (trips, batch)),
            "end": (self._end, ()),
        }

    def _end(self, state: State) -> tuple[State, jax.Array]:
        state = step.end_phase(self.config, state)
        return state, state["nimg"] + 0

    def _in_units(self, phase: Callable[..., State], *specs: PartitionSpec) -> Callable[..., State]:
        specs = specs or (REPLICATED,)
        return jax.shard_map(
            partial(phase, self.config, self.layout), mesh=self.mesh, in_specs=(REPLICATED, *specs),
            out_specs=REPLICATED, check_vma=False,
        )  # fmt: skip

    def _compile(self, state: State) -> dict[str, Any]:
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.replicated), state)
        shardings = jax.tree.map(lambda _: self.replicated, state)
        out = {"end": (shardings, self.replicated)}
        with jax.set_mesh(self.mesh):  # for `spread`
            lowered = {
                name: jax.jit(phase, donate_argnums=0, out_shardings=out.get(name, shardings)).lower(shapes, *more)
                for name, (phase, more) in self._phases().items()
            }
        with ThreadPoolExecutor() as pool:  # XLA compiles outside Python's lock
            options = compiler_options(ordered=False)
            programs = pool.map(lambda program: program.compile(compiler_options=options), lowered.values())
            return dict(zip(lowered, programs, strict=True))

    def count_bytes(self) -> dict[str, int]:
        """What each phase takes of a device, by the compiler's count."""
        return {name: program_bytes(program) for name, program in self.compiled.items()}

    def describe(self) -> str:
        """How long compiling took, and what each phase needs of a device by the compiler's count."""
        needs = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in self.bytes.items())
        return f"compiled in {self.seconds:.1f} s; memory per device: {needs}"

    def arrange(self, rows: np.ndarray) -> np.ndarray:
        """What is in the order of the batch [N, ...], in the order that these programs take it."""
        return rows if self.layout is None else self.layout.arrange(rows)

    def place(self, local: np.ndarray) -> Any:
        """This process's part of an arranged batch of pictures, on its devices."""
        if jax.process_count() == 1:
            return jax.device_put(local, self.split)
        with jax.transfer_guard("allow"):  # meant, but not counted as an explicit transfer
            return jax.make_array_from_process_local_data(self.split, local, self.batch_shape)

    def local_rows(self) -> Any:
        """Which rows of an arranged batch are on this process's devices."""
        places = self.split.addressable_devices_indices_map(self.batch_shape).values()
        spans = [index[0].indices(self.batch_shape[0])[:2] for index in places if index is not None]
        return slice(min(start for start, _ in spans), max(stop for _, stop in spans))

    def keep_up(self, ahead: int) -> None:
        """Waits until at most `ahead` steps are queued on the device."""
        while len(self.queued) > ahead:
            jax.block_until_ready(self.queued.popleft())

    def __call__(self, state: State, batch: Any, step_number: int) -> State:
        """One whole training step, queued."""
        state = self.compiled["G"](state, *self.trips)
        state = self.compiled["D"](state, *self.trips, batch)
        if step_number % self.config.r1_interval == 0:
            state = self.compiled["R1"](state, *self.trips, batch)
        state, counter = self.compiled["end"](state)
        self.queued.append(counter)
        return state


def replicate(tree: Any, sharding: Sharding) -> Any:
    """Host values, the same in every process, onto all devices."""

    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def one(x: Any) -> jax.Array:
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    with jax.transfer_guard("allow"):  # meant, but not counted as an explicit transfer
        return jax.tree.map(one, tree)
