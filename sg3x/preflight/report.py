"""Reads compiled programs: memory, FLOPs, and on a TPU the compiler's own estimate of every operation's cycles.

FLOPs are the compiler's count, without those inside of kernels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sg3x.preflight.kernels import Kernel, read_kernel
from sg3x.training.execute.memory import program_bytes

# `%fusion.1 = bf16[4,306,306,256]{...} fusion(...), kind=kOutput, ... op_name="jit(f)/dot_general"`
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<shape>\(.*?\)|\S+) (?P<op>[\w\-]+)\(")
_FUSED = re.compile(r" fusion\(.*calls=%?([\w.\-]+)")
_TAKES_TIME = re.compile(r"tpu_custom_call|kind=kCustom| (gather|scatter|sort)\(")
_CYCLES = re.compile(r'"estimated_cycles":"?(\d+)')
_SOURCE = re.compile(r'op_name="([^"]*)"')
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
LARGEST = 10
KERNELS = "filtered_lrelu kernels (their bundles, counted here)"


@dataclass(frozen=True)
class Operation:
    """One instruction of the optimised program."""

    name: str
    group: str
    shape: str
    source: str  # JAX's name of what it came from
    bytes: int  # of its result
    cycles: int | None = None


@dataclass
class Phase:
    """What the compiler says of one program, per device."""

    name: str
    flops: float | None
    memory_bytes: int  # as the trainer counts it: `training.execute.memory.program_bytes`
    temporaries_bytes: int
    cycles: int | None = None  # None: this compiler estimates none
    unpriced: list[str] = field(default_factory=list)  # operations of which neither the compiler nor we know the cycles
    loops: int = 0  # of a number of rounds that is not in the program; what is in them is counted once
    groups: dict[str, int] = field(default_factory=dict)
    largest: list[Operation] = field(default_factory=list)  # by cycles, and without estimates by the size of the result

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_program(name: str, compiled: Any, kernels: Mapping[Kernel, int] | None = None) -> Phase:
    """The report of one compiled program; `kernels`: their cycles (`price_kernels`)."""
    memory = compiled.memory_analysis()
    cost = compiled.cost_analysis() or {}
    cost = cost[0] if isinstance(cost, list) else cost
    text = compiled.as_text()
    operations, unpriced = read_operations(text, kernels)
    priced = [operation for operation in operations if operation.cycles is not None]
    groups: dict[str, int] = {}
    for operation in priced:
        groups[operation.group] = groups.get(operation.group, 0) + (operation.cycles or 0)
    return Phase(
        name=name,
        flops=cost.get("flops"),
        memory_bytes=program_bytes(compiled),
        temporaries_bytes=memory.temp_size_in_bytes,
        cycles=sum(groups.values()) if priced else None,
        unpriced=unpriced if priced else [],
        loops=sum(" while(" in line for line in text.splitlines()) if priced else 0,
        groups=dict(sorted(groups.items(), key=lambda item: -item[1])),
        largest=sorted(priced or entered(operations), key=lambda o: (-(o.cycles or 0), -o.bytes))[:LARGEST],
    )


def read_operations(text: str, kernels: Mapping[Kernel, int] | None = None) -> tuple[list[Operation], list[str]]:
    """All instructions of an optimised HLO text, with the compiler's `estimated_cycles` where there are any and kernels
    with those given; and what has none though it takes time: kernels, gathers, scatters and sorts."""
    operations: list[Operation] = []
    unpriced: list[str] = []
    fused, inside = set(_FUSED.findall(text)), ""
    for line in text.splitlines():
        inside = line.split("(")[0].strip(" %") if line.endswith("{") else inside
        found = _INSTRUCTION.match(line)
        if found is None or inside in fused:  # what is inside a fusion is never stored
            continue
        source = _SOURCE.search(line)
        origin = source[1] if source else ""
        if "tpu_custom_call" in line:
            kernel = read_kernel(line)
            price = None if kernel is None or kernels is None else kernels.get(kernel[0])
            group = KERNELS
        else:
            estimate = _CYCLES.search(line)
            price = None if estimate is None else int(estimate[1])
            group = group_of(found["op"], origin)
        if price is None and _TAKES_TIME.search(line):
            unpriced.append(found["name"])
        shape = found["shape"]
        operations.append(Operation(found["name"], group, shape, origin, result_bytes(shape), price))
    return operations, unpriced


def entered(operations: list[Operation]) -> list[Operation]:
    """Those that make something new: no parameters, constants and views, nor loops, whose results are tuples."""
    views = re.compile(r"(param|arg|constant|bitcast|get-tuple-element)")
    return [o for o in operations if not o.shape.startswith("(") and not views.match(o.name)]


def result_bytes(shape: str) -> int:
    """Bytes of what HLO writes as `f32[4,8]{1,0}`, or of a tuple of such."""
    return sum(_BYTES.get(t, 0) * math.prod(map(int, filter(None, d.split(",")))) for t, d in _ARRAY.findall(shape))


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
