"""Reads compiled programs: memory, FLOPs, and on a TPU the compiler's own estimate of every operation's cycles."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

# `%fusion.1 = bf16[4,306,306,256]{...} fusion(...), kind=kOutput, ... op_name="jit(f)/dot_general"`
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<shape>\(.*?\)|\S+) (?P<op>[\w\-]+)\(")
_CYCLES = re.compile(r'"estimated_cycles":"?(\d+)')
_SOURCE = re.compile(r'op_name="([^"]*)"')
LARGEST = 10


@dataclass(frozen=True)
class Operation:
    """One instruction of the optimised program with an estimate."""

    name: str
    group: str
    shape: str
    source: str  # JAX's name of what it came from
    cycles: int


@dataclass
class Phase:
    """What the compiler says of one program, per device."""

    name: str
    flops: float | None
    memory_bytes: int  # arguments + temporaries + outputs that are not donated arguments
    temporaries_bytes: int
    cycles: int | None = None  # None: this compiler estimates none
    unpriced: int = 0  # custom calls without an estimate
    groups: dict[str, int] = field(default_factory=dict)
    largest: list[Operation] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_program(name: str, compiled: Any) -> Phase:
    """The report of one compiled program."""
    memory = compiled.memory_analysis()
    cost = compiled.cost_analysis() or {}
    cost = cost[0] if isinstance(cost, list) else cost
    text = compiled.as_text()
    operations, unpriced = priced_operations(text)
    groups: dict[str, int] = {}
    for operation in operations:
        groups[operation.group] = groups.get(operation.group, 0) + operation.cycles
    held = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    held += max(0, memory.output_size_in_bytes - memory.alias_size_in_bytes)
    return Phase(
        name=name,
        flops=cost.get("flops"),
        memory_bytes=held,
        temporaries_bytes=memory.temp_size_in_bytes,
        cycles=sum(groups.values()) if operations else None,
        unpriced=unpriced,
        groups=dict(sorted(groups.items(), key=lambda item: -item[1])),
        largest=sorted(operations, key=lambda operation: -operation.cycles)[:LARGEST],
    )


def priced_operations(text: str) -> tuple[list[Operation], int]:
    """All instructions of an optimised HLO text with `estimated_cycles`, and how many kernels have none."""
    operations, unpriced = [], 0
    for line in text.splitlines():
        found = _INSTRUCTION.match(line)
        if found is None:
            continue
        cycles = _CYCLES.search(line)
        if cycles is None:
            unpriced += "tpu_custom_call" in line
            continue
        source = _SOURCE.search(line)
        origin = source[1] if source else ""
        operations.append(
            Operation(found["name"], group_of(found["op"], origin), found["shape"], origin, int(cycles[1]))
        )
    return operations, unpriced


def group_of(op: str, source: str) -> str:
    """A few words for what an instruction does, by JAX's name of it and else by its kind."""
    last = source.rsplit("/", 1)[-1]
    if "conv_general_dilated" in source:
        return "convolutions"
    if "dot_general" in source or "->" in last:
        return "matrix products (FIRs, dense layers)"
    if op.startswith(("all-", "reduce-scatter", "collective")):
        return "collectives"
    if op in ("copy", "copy-start", "copy-done", "transpose", "bitcast") or last == "transpose":
        return "copies and transpositions"
    if "gather" in source or "scatter" in source:
        return "gathers and scatters"
    if "reduce" in last:
        return "reductions"
    return "elementwise"
