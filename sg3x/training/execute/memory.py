"""What the programs need of a device's memory, and what to do when it is too much."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax

from sg3x.training.execute.microbatches import Microbatches, allowed_sizes
from sg3x.training.problems import TrainingError
from sg3x.training.state import TrainConfig

# How the runtime says it, at a call and out of a step that was queued (then its status is INTERNAL).
EXHAUSTED = ("RESOURCE_EXHAUSTED", "Out of memory")


def program_bytes(program: Any) -> int:
    """What the compiler says one call takes: arguments, results that take none of their places, temporaries. 0: not said."""
    found = program.memory_analysis()
    if found is None:
        return 0
    return (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.temp_size_in_bytes
        + found.generated_code_size_in_bytes
    )


def device_limit() -> int | None:
    """Bytes one device may use; on CPUs all of the machine's memory. None: unknown, as when compiling for another machine."""
    if os.environ.get("SG3X_COMPILE_FOR"):
        return None
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    if device.platform == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def check_memory(needed: dict[str, int], config: TrainConfig, microbatches: Microbatches, devices: int) -> None:
    """Raises TrainingError when a program certainly does not fit, before any time is spent on trying."""
    limit, most = device_limit(), max(needed.values())
    if limit is not None and most > limit:
        raise TrainingError(
            f"phase {max(needed, key=lambda name: needed[name])} needs {_gib(most)} per device by the compiler's count, "
            f"a device has {_gib(limit)}. {advice(config, microbatches, devices, most / limit)}"
        )


@contextlib.contextmanager
def explain_out_of_memory(
    config: TrainConfig, microbatches: Microbatches, devices: int, needed: dict[str, int] | None = None
) -> Iterator[None]:
    """Turns the runtime's report that memory is exhausted into a TrainingError that says what to set."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(word in str(error) for word in EXHAUSTED):
            raise
        said = f" (the compiler's count: {_gib(max(needed.values()))} per device)" if needed else ""
        limit = device_limit()
        has = f"; a device has {_gib(limit)}" if limit else ""
        raise TrainingError(
            f"out of device memory{said}{has}. {advice(config, microbatches, devices)} The runtime said: {_first_line(error)}"
        ) from error


def advice(config: TrainConfig, microbatches: Microbatches, devices: int, factor: float = 2.0) -> str:
    """Which batch_per_device to set so that about 1/factor of the memory is needed."""
    group = config.group_size
    share = config.batch_size // devices
    now = share if microbatches.executor == "whole" else microbatches.size
    smaller = [b for b in allowed_sizes(share, group) if b < now]
    fitting = [b for b in smaller if b <= now / factor]
    if smaller:
        return (
            f"Set batch_per_device: {max(fitting, default=min(smaller))} (now {now}); "
            "the result stays the same up to rounding."
        )
    setting = "deterministic: true computes" if microbatches.executor == "ordered" else "batch_per_device is"
    return (
        f"{setting} {now} pictures at a time already, the least with minibatch-standard-deviation groups of {group}: use more "
        "devices, smaller networks (channel_base, channel_max) or activation_dtype: bfloat16."
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**28 else f"{count / 2**20:.0f} MiB"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
