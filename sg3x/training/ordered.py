"""`deterministic: true`: a step whose bits do not depend on how many devices and processes compute it.

Every program is one of a single device that knows of no other, compiled from the same code on every layout: one compiled
for several devices would be another program, and round otherwise. The first device of every process runs what concerns
the whole batch; the groups take turns on all devices. In between values are only moved. Sums over the groups are
taken one after the other, in the groups' order. What the programs compute: `training.groups`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, SingleDeviceSharding

from sg3x.networks.schedule import layer_schedule
from sg3x.ops.platform import for_one_device
from sg3x.training.compiler import compiler_options
from sg3x.training.gathering import Gathering
from sg3x.training.groups import Plan, Program, for_discriminator, for_generator, plan_step
from sg3x.training.layout import Layout
from sg3x.training.memory import program_bytes
from sg3x.training.parts import of_layer
from sg3x.training.programs import Programs
from sg3x.training.state import State, TrainConfig

Units = dict[int, Any]  # number of a unit -> something of it


def make_programs(config: TrainConfig, mesh: Mesh, state: State, layout: Layout | None) -> Programs:
    """The programs of a step for this layout."""
    if layout is not None and layout.ordered:
        return OrderedPrograms(config, mesh, state, layout)
    return Programs(config, mesh, state, layout)


class OrderedPrograms(Programs):
    """`Programs` for an ordered layout. The state is on the first device of every process; a batch is cut into its units."""

    def __init__(self, config: TrainConfig, mesh: Mesh, state: State, layout: Layout) -> None:
        processes: dict[int, list[jax.Device]] = {}
        for device in mesh.devices.flat:
            processes.setdefault(device.process_index, []).append(device)
        each = min(len(devices) for devices in processes.values())
        self.processes = [processes[number][:each] for number in sorted(processes)]
        self.turns = [
            device for devices in self.processes for device in devices
        ]  # of unit u: that of number u, in turns
        mine = processes.get(jax.process_index(), self.turns)[:each]
        # Devices that are only described (`sg3x preflight`) are all alike: one program stands for them.
        self.local = mine if set(mine) <= set(jax.local_devices()) else mine[:1]
        self.first = self.local[0]
        self.mine = [u for u in range(layout.units) if self._device(u) in self.local]
        self.busy = list(dict.fromkeys([self.first, *map(self._device, self.mine)]))
        super().__init__(config, mesh, state, layout)
        self.replicated = SingleDeviceSharding(self.first)

    def _device(self, unit: int) -> jax.Device:
        return self.turns[unit % len(self.turns)]

    def _compile(self, state: State) -> dict[str, Any]:
        assert self.layout is not None
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
        with for_one_device():  # traced here once and for all: lowering takes up the same traces
            plan = plan_step(self.config, self.layout, shapes, jax.ShapeDtypeStruct(self.batch_shape[1:], np.uint8))
            plan.add_whole("end", self._end, shapes, donate=(0,))
        jobs = {(name, self.first): program for name, program in plan.whole.items()}
        jobs |= {(name, device): program for name, program in plan.units.items() for device in self.busy}
        self.on = _compile_all(jobs)
        self.gather = self._gatherings(plan)
        return {name: program for (name, device), program in self.on.items() if device == self.first}

    def _gatherings(self, plan: Plan) -> dict[str, Gathering]:
        if jax.process_count() == 1 or len(self.processes) == 1:
            return {}
        leads, each = [devices[0] for devices in self.processes], len(self.processes[0])
        wanted = {name: plan.units[name].result for name in ("G unit", "D unit", "R1 unit")}
        wanted["D magnitude"] = plan.units["D input"].result[1]
        return {name: Gathering(shapes, leads, each) for name, shapes in wanted.items()}

    def count_bytes(self) -> dict[str, int]:
        """What the largest program of each phase takes of a device."""
        sizes = {name: program_bytes(program) for name, program in self.compiled.items()}
        phases = dict.fromkeys(name.split()[0] for name in sizes)
        return {phase: max(size for name, size in sizes.items() if name.split()[0] == phase) for phase in phases}

    def place(self, local: np.ndarray) -> Any:
        """This process's units, each on the device whose turn it is."""
        return {u: jax.device_put(x, self._device(u)) for u, x in zip(self.mine, local, strict=True)}

    def local_rows(self) -> Any:
        """Which units are this process's."""
        return np.array(self.mine, np.int64)

    def __call__(self, state: State, batch: Any, step_number: int) -> State:
        """One whole training step, queued."""
        state = self._generator(state)
        state = self._discriminator(state, batch)
        if step_number % self.config.r1_interval == 0:
            state = self._r1(state, batch)
        state, counter = self.compiled["end"](state)
        self.queued.append(counter)
        return state

    def _generator(self, state: State) -> State:
        own, powers = self.compiled["G begin"](state)
        total, more = self._add_up("G", (for_generator(state), powers), dict(enumerate(own)))
        return self.compiled["G end"](state, total, more)

    def _discriminator(self, state: State, real: Units) -> State:
        ws, drawn, powers, moved = self.compiled["D begin"](state)
        fake, buffers = self._synthesis(state, {u: self._to(u, ws[u]) for u in self.mine}, powers)
        own = {u: (fake[u], real[u], *drawn[u]) for u in self.mine}
        total, more = self._add_up("D", (for_discriminator(state),), own)
        return self.compiled["D end"](state, {**moved, **buffers}, total, more)

    def _synthesis(self, state: State, ws: Units, powers: Any) -> tuple[Units, dict[str, jax.Array]]:
        """Pictures of this process's units, all units layer by layer; the moved buffers."""
        found = self._run("D input", self._on_all(of_layer(state, "input")), {u: (ws[u],) for u in self.mine})
        every: dict[str, jax.Array] = {}
        for i, layer in enumerate(layer_schedule(self.config.generator).layers):
            g, buffers = of_layer(state, layer.name)
            own = {u: square for u, (_, square) in found.items()}
            squares = [square for units in self._rounds() for square in self._collect("D magnitude", units, own)]
            buffers = {name: self.compiled["D magnitude"](ema, squares) for name, ema in buffers.items()}
            inputs = {u: (found[u][0], ws[u]) for u in self.mine}
            found = self._run(f"D layer {i}", self._on_all((g, buffers, powers.get(layer.name))), inputs)
            every |= {f"synthesis.{layer.name}.{n}": ema for n, ema in buffers.items()}
        return {u: x for u, (x, _) in found.items()}, every

    def _r1(self, state: State, real: Units) -> State:
        drawn = self.compiled["R1 begin"](state)
        own = {u: (real[u], drawn[u]) for u in self.mine}
        total, more = self._add_up("R1", (for_discriminator(state),), own)
        return self.compiled["R1 end"](state, total, more)

    def _rounds(self) -> list[range]:
        """Numbers of the units that are computed at the same time, one a device."""
        assert self.layout is not None
        units, turns = self.layout.units, len(self.turns)
        return [range(start, min(start + turns, units)) for start in range(0, units, turns)]

    def _to(self, unit: int, values: Any) -> Any:
        return jax.device_put(values, self._device(unit))

    def _on_all(self, values: Any) -> dict[jax.Device, Any]:
        return {device: jax.device_put(values, device) for device in self.busy}

    def _run(self, name: str, shared: dict[jax.Device, tuple[Any, ...]], own: Units) -> Units:
        """The program `name` for each of these units that is this process's, given what is shared and what is its own."""
        mine = {u: self._device(u) for u in own if u in self.mine}
        return {u: self.on[name, device](*shared[device], *self._to(u, own[u])) for u, device in mine.items()}

    def _add_up(self, phase: str, shared: tuple[Any, ...], own: Units) -> tuple[Any, list[Any]]:
        """The sum of all units' gradients, in their order, and what else each unit gives; both on the first device."""
        name, total, more, on = f"{phase} unit", None, [], self._on_all(shared)
        for units in self._rounds():
            found = self._run(name, on, {u: own[u] for u in units if u in own})
            for grads, rest in self._collect(name, units, found):
                total = grads if total is None else self.compiled[f"{phase} add"](total, grads)
                more.append(rest)
        return total, more

    def _collect(self, name: str, units: range, found: Units) -> list[Any]:
        """What all processes found for the units of one round, in their order, on the first device of each."""
        if not self.gather:
            return [jax.device_put(found[u], self.first) for u in units]
        own = {u % len(self.processes[0]): jax.device_put(found[u], self.first) for u in units if u in self.mine}
        return self.gather[name](own)[: len(units)]


def _compile_all(jobs: dict[tuple[str, jax.Device], Program]) -> dict[tuple[str, jax.Device], Any]:
    """Each program for its device."""
    functions = {name: jax.jit(program.function, donate_argnums=program.donate) for (name, _), program in jobs.items()}

    def lower(name: str, device: jax.Device, program: Program) -> Any:
        place = SingleDeviceSharding(device)
        placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), program.arguments)
        return functions[name].lower(*placed)

    with for_one_device():
        lowered = [lower(name, device, program) for (name, device), program in jobs.items()]
    with ThreadPoolExecutor() as pool:  # XLA compiles outside Python's lock
        compiled = pool.map(lambda one: one.compile(compiler_options=compiler_options(ordered=True)), lowered)
        return dict(zip(jobs, compiled, strict=True))
