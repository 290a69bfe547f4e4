"""Prices the Pallas kernels of a program compiled for a TPU, for which the compiler's estimates have nothing.

Each kernel is compiled once more by itself, in a process of its own whose compiler writes listings; there the instruction
bundles of every loop are counted, times the loop's rounds, one cycle a bundle. Waiting for memory is not in it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sg3x.preflight.target import find_target, prepare_environment

PROLOGUE = 500  # bundles of one instance outside its loops
# `%fir_stream_16_times_38_5_36.1 = bf16[4,36,36,512]{...} custom-call(...)`: see `signal.pallas_tpu.kernel_name`
_NAME = re.compile(r"%?\w+_(\d+)_times_(\d+(?:_\d+)*)[.\d]* = (\w+)\[([\d,]*)\]")
_OPERANDS = re.compile(r"operand_layout_constraints=\{(.*?\})\}")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
_CONFIG = "backend_config="
_TYPES = {"bf16": "bfloat16", "f32": "float32"}
_ADDRESS = re.compile(r"\s*(0x[0-9a-f]+)\s+(LB|PF|LH|LE|PB)?\s*(?:\S+)?\s*: (>*)")

Array = tuple[str, tuple[int, ...]]  # element type and shape


class Kernel(NamedTuple):
    """A kernel as a compiled program calls it; equal ones cost the same."""

    instances: int  # one after the other
    rounds: tuple[int, ...]  # of its loops, in their order
    result: Array
    operands: tuple[Array, ...]


def read_kernel(line: str) -> tuple[Kernel, str] | None:
    """The kernel that a line of optimised HLO calls, and its code; None if it calls none of ours."""
    name, operands = _NAME.search(line), _OPERANDS.search(line)
    if "tpu_custom_call" not in line or name is None or operands is None or _CONFIG not in line:
        return None
    code, _ = json.JSONDecoder().raw_decode(line, line.index(_CONFIG) + len(_CONFIG))
    rounds = tuple(int(n) for n in name[2].split("_"))
    arrays = tuple(_array(*found) for found in _ARRAY.findall(operands[1]))
    return Kernel(int(name[1]), rounds, _array(name[3], name[4]), arrays), json.dumps(code)


def _array(element: str, shape: str) -> Array:
    return element, tuple(int(n) for n in shape.split(",") if n)


def price_kernels(texts: Iterable[str], target: str) -> dict[Kernel, int]:
    """Cycles of each kernel that optimised programs call: kernels that could not be priced are missing."""
    found = [read_kernel(line) for text in texts for line in text.splitlines() if "tpu_custom_call" in line]
    kernels = dict(kernel for kernel in found if kernel is not None)
    if not kernels:
        return {}
    with tempfile.TemporaryDirectory() as listings:
        flags = f"--xla_jf_dump_to={listings} --xla_jf_dump_llo_text=true"
        child = subprocess.run(
            [sys.executable, "-m", "sg3x.preflight.kernels", target, listings],
            input=json.dumps(list(kernels.items())), env=os.environ | {"LIBTPU_INIT_ARGS": flags},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if child.returncode:
        raise RuntimeError(f"compiling kernels by themselves failed:\n{child.stderr[-2000:]}")
    cycles = json.loads(child.stdout.splitlines()[-1])
    return {kernel: count for kernel, count in zip(kernels, cycles, strict=True) if count is not None}


def count_bundles(listing: str, rounds: Iterable[int]) -> int | None:
    """Bundles that one instance issues, by the compiler's final listing; None when its loops are not those of `rounds`."""
    lengths, start = [], None
    for line in listing.splitlines():
        found = _ADDRESS.match(line)
        if found is None:
            continue
        if found[2] == "LB" and found[3] == ">>":
            start = int(found[1], 16)
        elif start is not None and "sbr.rel" in line and found[3]:
            lengths.append(int(found[1], 16) - start + 6)  # with the branch's delay slots
            start = None
    rounds = list(rounds)
    if len(lengths) != len(rounds):
        return None
    return PROLOGUE + sum(length * count for length, count in zip(lengths, rounds, strict=True))


def _compile_alone(kernel: Kernel, code: str, device: Any) -> None:
    import jax
    from jax.sharding import SingleDeviceSharding

    def shape(array: Array, **more: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(array[1], _TYPES[array[0]], **more)

    settings = json.loads(code)
    kept = {key: settings[key] for key in ("custom_call_config", "scoped_memory_configs") if key in settings}
    call = jax.ffi.ffi_call(
        "tpu_custom_call", shape(kernel.result), custom_call_api_version=1, legacy_backend_config=json.dumps(kept)
    )
    operands = [shape(array, sharding=SingleDeviceSharding(device)) for array in kernel.operands]
    jax.jit(lambda *given: call(*given)).lower(*operands).compile()


def _main(target: str, folder: Path) -> None:
    """Reads kernels as JSON, compiles each, prints their cycles as JSON."""
    prepare_environment(target)
    device = find_target(target).devices[0]
    cycles = []
    for (instances, rounds, (result, shape), operands), code in json.load(sys.stdin):
        for old in folder.iterdir():
            old.unlink()
        kernel = Kernel(instances, tuple(rounds), (result, tuple(shape)), tuple((t, tuple(s)) for t, s in operands))
        _compile_alone(kernel, code, device)
        listings = [f for f in folder.glob("*ffi_call*-final_bundles.txt") if "analysis" not in f.name]
        bundles = count_bundles(listings[0].read_text(), kernel.rounds) if len(listings) == 1 else None
        cycles.append(None if bundles is None else bundles * instances)
    print(json.dumps(cycles))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
