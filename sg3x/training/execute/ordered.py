"""`deterministic: true`: a step whose bits do not depend on how many devices and processes compute it.

Every program is one of a single device that knows of no other, compiled from the same code on every layout: one compiled
for several devices would be another program, and round otherwise. What is computed `once`, the first device of every process
computes; microbatches, each exactly one minibatch-standard-deviation group, take turns on all devices. In between values are
only moved. Sums are taken one after the other, in the microbatches' order.

The phases run twice: at first by `_Plan`, with shapes for values, which finds out what is to be compiled; then, in every step,
by `_Conductor`, which calls the programs.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from sg3x.signal.place import for_one_device
from sg3x.training.execute.across_processes import Gathering
from sg3x.training.execute.compiled import Step
from sg3x.training.execute.compiler import compiler_options
from sg3x.training.execute.verbs import PerMicrobatch
from sg3x.training.objective.phases import OF_PICTURES, PHASES, Batch
from sg3x.training.state import State

Own = dict[int, Any]  # number of a microbatch -> something of it


@dataclass
class _Program:
    """A function, the shapes of its arguments and of its result, and where it runs."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: Any
    consume: bool = False  # takes over its first argument
    on_all: bool = False  # runs on every device, not on the first of each process alone


def _name(phase: str, function: Callable[..., Any], static: dict[str, Any]) -> str:
    numbers = [str(value) for value in static.values() if isinstance(value, int) and not isinstance(value, bool)]
    return " ".join([phase, function.__name__, *numbers])


def _split_name(phase: str, samples: tuple[Any, ...]) -> str:
    shapes = [x.shape for x in jax.tree.leaves(samples)]
    return " ".join([phase, "split", *("x".join(map(str, shape)) for shape in shapes[:1])])


class _Plan:
    """`Verbs` of shapes: notes every program of one phase, and what has to be gathered from all processes."""

    in_parts = True

    def __init__(self, step: OrderedStep, phase: str) -> None:
        self.config, self.phase, self.microbatches = step.config, phase, step.microbatches
        self.programs, self.gathered = step.programs, step.gathered

    def _add(self, name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        known = self.programs.get(name)
        if known is None:
            result = jax.eval_shape(function, *arguments)
            known = self.programs[name] = _Program(function, arguments, result, **options)
        assert jax.tree.map(lambda x: x.shape, known.arguments) == jax.tree.map(lambda x: x.shape, arguments), name
        return known.result

    def split(self, *samples: Any) -> list[PerMicrobatch]:
        def cut(*samples: Any) -> list[Any]:
            every = jax.tree.map(self.microbatches.arrange, samples)
            return [jax.tree.map(lambda x: x[i], every) for i in range(self.microbatches.count)]  # noqa: B023

        first = self._add(_split_name(self.phase, samples), cut, *samples)[0]
        return [PerMicrobatch(own) for own in first]

    def once(self, function: Callable[..., Any], *values: Any, consume: bool = False, **static: Any) -> Any:
        handles = [isinstance(value, PerMicrobatch) for value in values]
        name, config, count = _name(self.phase, function, static), self.config, self.microbatches.count

        def whole(*values: Any) -> Any:
            stack = lambda trees: jax.tree.map(lambda *x: jnp.stack(x), *trees)  # noqa: E731
            given = [stack(value) if handle else value for value, handle in zip(values, handles, strict=True)]
            return function(config, *given, **static)

        if any(handles):
            self.gathered[name] = [value.value for value in values if isinstance(value, PerMicrobatch)]
        shapes = [[value.value] * count if isinstance(value, PerMicrobatch) else value for value in values]
        return self._add(name, whole, *shapes, consume=consume)

    def each(
        self, function: Callable[..., Any], shared: tuple[Any, ...], own: tuple[PerMicrobatch, ...], **static: Any
    ) -> Any:
        name, config, count = _name(self.phase, function, static), self.config, self.microbatches.count

        def microbatch(*values: Any) -> Any:
            return function(config, *values, **static)

        grads, *more = self._add(name, microbatch, *shared, *(one.value for one in own), on_all=True)
        if jax.tree.leaves(grads):
            self.gathered[name] = grads
            self._add(f"{name}, add", lambda a, b: jax.tree.map(jnp.add, a, b), grads, grads, consume=True)
            self._add(f"{name}, mean", lambda a: jax.tree.map(lambda x: x / count, a), grads, consume=True)
        return grads, *map(PerMicrobatch, more)


class _Conductor:
    """`Verbs` that call the programs of one phase. PerMicrobatch are those of this process, each on its device."""

    in_parts = True

    def __init__(self, step: OrderedStep, phase: str) -> None:
        self.step, self.config, self.phase = step, step.config, phase

    def split(self, *samples: Any) -> list[PerMicrobatch]:
        step = self.step
        every = step.compiled[_split_name(self.phase, samples)](*samples)
        mine = {u: jax.device_put(every[u], step.device(u)) for u in step.mine}
        return [PerMicrobatch({u: own[i] for u, own in mine.items()}) for i in range(len(samples))]

    def once(self, function: Callable[..., Any], *values: Any, consume: bool = False, **static: Any) -> Any:
        step, name = self.step, _name(self.phase, function, static)
        handles = [value.value for value in values if isinstance(value, PerMicrobatch)]
        own = {u: [handle[u] for handle in handles] for u in step.mine}
        every = [one for units in step.rounds for one in step.collect(name, units, own)] if handles else []
        stacks = iter(zip(*every, strict=True))
        given = [list(next(stacks)) if isinstance(value, PerMicrobatch) else value for value in values]
        return step.compiled[name](*given)

    def each(
        self, function: Callable[..., Any], shared: tuple[Any, ...], own: tuple[PerMicrobatch, ...], **static: Any
    ) -> Any:
        step, name = self.step, _name(self.phase, function, static)
        on = {device: jax.device_put(shared, device) for device in step.busy}
        total, more = None, {}
        for units in step.rounds:
            found = {}
            for u in (u for u in units if u in step.mine):
                device = step.device(u)
                found[u], *more[u] = step.on[name, device](*on[device], *(one.value[u] for one in own))
            for grads in step.collect(name, units, found) if name in step.gathered else []:
                total = grads if total is None else step.compiled[f"{name}, add"](total, grads)
        mean = None if total is None else step.compiled[f"{name}, mean"](total)
        number = len(step.programs[name].result) - 1
        return mean, *(PerMicrobatch({u: one[i] for u, one in more.items()}) for i in range(number))


class OrderedStep(Step):
    """A step by single-device programs. The state is on the first device of every process."""

    def _compile(self, state: State) -> dict[str, Any]:
        self._place()
        self.programs: dict[str, _Program] = {}
        self.gathered: dict[str, Any] = {}  # name of a program -> shapes of what all processes need for it, or of it
        batch = Batch(PerMicrobatch(jax.ShapeDtypeStruct(self.batch_shape[1:], np.uint8)), PerMicrobatch(None))
        with for_one_device():  # traced here once and for all: lowering takes up the same traces
            for name, phase in PHASES.items():
                phase(_Plan(self, name), state, *([batch] if name in OF_PICTURES else []))
            jobs = [(n, d) for n, one in self.programs.items() for d in (self.busy if one.on_all else [self.first])]
            lowered = [_lower(self.programs[name], device) for name, device in jobs]
        with ThreadPoolExecutor() as pool:  # XLA compiles outside Python's lock
            options = compiler_options(ordered=True)
            self.on = dict(zip(jobs, pool.map(lambda one: one.compile(compiler_options=options), lowered), strict=True))
        self.gather = {}
        if jax.process_count() > 1 and len(self.processes) > 1:
            leads, each = [devices[0] for devices in self.processes], len(self.processes[0])
            self.gather = {name: Gathering(shapes, leads, each) for name, shapes in self.gathered.items()}
        return {name: program for (name, device), program in self.on.items() if device == self.first}

    def _place(self) -> None:
        """Which device computes what."""
        processes: dict[int, list[jax.Device]] = {}
        for device in self.mesh.devices.flat:
            processes.setdefault(device.process_index, []).append(device)
        each = min(len(devices) for devices in processes.values())
        self.processes = [processes[number][:each] for number in sorted(processes)]
        # Microbatch u is computed by the device of number u, in turns.
        self.turns = [device for devices in self.processes for device in devices]
        mine = processes.get(jax.process_index(), self.turns)[:each]
        # Devices that are only described (`sg3x preflight`) are all alike: one program stands for them.
        local = mine if set(mine) <= set(jax.local_devices()) else mine[:1]
        self.first, self.state_sharding = local[0], SingleDeviceSharding(local[0])
        count, turns = self.microbatches.count, len(self.turns)
        self.mine = [u for u in range(count) if self.device(u) in local]
        self.busy = list(dict.fromkeys([self.first, *map(self.device, self.mine)]))
        # Microbatches that are computed at the same time, one a device.
        self.rounds = [range(start, min(start + turns, count)) for start in range(0, count, turns)]

    def device(self, microbatch: int) -> jax.Device:
        """The one whose turn it is."""
        return self.turns[microbatch % len(self.turns)]

    def collect(self, name: str, units: range, own: Own) -> list[Any]:
        """What all processes found for the microbatches of one round, in their order, on the first device of each."""
        if not self.gather:
            return [jax.device_put(own[u], self.first) for u in units]
        mine = {u % len(self.processes[0]): jax.device_put(own[u], self.first) for u in units if u in self.mine}
        return self.gather[name](mine)[: len(units)]

    def _run(self, phase: str, *values: Any) -> Any:
        return PHASES[phase](_Conductor(self, phase), *values)

    def put_batch(self, local: np.ndarray) -> Batch:
        real = {u: jax.device_put(x, self.device(u)) for u, x in zip(self.mine, local, strict=True)}
        return Batch(PerMicrobatch(real), PerMicrobatch(dict.fromkeys(self.mine)))

    def local_index(self) -> Any:
        return np.array(self.mine, np.int64)


def _lower(program: _Program, device: jax.Device) -> Any:
    place = SingleDeviceSharding(device)
    placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), program.arguments)
    return jax.jit(program.function, donate_argnums=0 if program.consume else ()).lower(*placed)
