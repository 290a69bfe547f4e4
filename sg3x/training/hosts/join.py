"""Several processes as one trainer: joined by `jax.distributed`, process 0 reads and writes checkpoints.

A process joins others only when a launcher started it so: Open MPI (`mpirun`), SLURM (`srun`), JAX's own variables
(JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID), or on a Cloud TPU machine.
"""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.training.errors import TrainingError

CLOUD_TPU, OPEN_MPI = "Cloud TPU", "Open MPI"
FIRST_PORT = 61440  # of the last 4096, which are rarely in use
PIECE = 1 << 28  # bytes that are sent at once
LAG = 2  # steps between a stop request and its being known everywhere: the device never waits for the answer
BARRIER_MILLISECONDS = 3_600_000
_barriers = count()  # a barrier's name may be used once only
HEARTBEAT_SECONDS, SHUTDOWN_SECONDS = 60, 60


def launcher(environment: Mapping[str, str] = os.environ) -> str | None:
    """The launcher of this process as one of several: "Open MPI", "SLURM", "JAX variables", "Cloud TPU"; None: alone."""
    if _number(environment, "OMPI_COMM_WORLD_SIZE") > 1:
        return OPEN_MPI
    if "SLURM_PROCID" in environment and _number(environment, "SLURM_STEP_NUM_TASKS") > 1:
        return "SLURM"  # SLURM_NTASKS alone is also set where nothing was started by srun
    if environment.get("JAX_COORDINATOR_ADDRESS") and _number(environment, "JAX_NUM_PROCESSES") > 1:
        return "JAX variables"
    if environment.get("JAX_PLATFORMS", "tpu").startswith("tpu") and _on_cloud_tpu():
        return CLOUD_TPU
    return None


def join(environment: Mapping[str, str] = os.environ) -> None:
    """Joins the other processes, if there are any; call before anything that touches a device.

    Raises:
        TrainingError: the others cannot be reached.
    """
    by = launcher(environment)
    if by is None:
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    own = addresses(by, environment)
    try:
        jax.distributed.initialize(
            **own, heartbeat_timeout_seconds=HEARTBEAT_SECONDS, shutdown_timeout_seconds=SHUTDOWN_SECONDS
        )
    except (RuntimeError, ValueError) as error:
        if by == CLOUD_TPU and "should be defined" in str(error):
            return  # JAX finds no other workers: a TPU host by itself
        raise TrainingError(
            f"cannot join the other processes (started by {by}): {error}. See docs/multi-host.md"
        ) from error
    barrier("joined")
    _broadcast(np.zeros((), np.int32))  # the processes connect now, while all of them are here
    if is_first():
        print(f"{jax.process_count()} processes, started by {by}; {jax.device_count()} devices", flush=True)


def addresses(by: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `jax.distributed.initialize`; empty where it finds them itself."""
    if by == "JAX variables":
        return {
            "coordinator_address": environment["JAX_COORDINATOR_ADDRESS"],
            "num_processes": _number(environment, "JAX_NUM_PROCESSES"),
            "process_id": _number(environment, "JAX_PROCESS_ID"),
        }
    if by != OPEN_MPI or "OMPI_MCA_orte_hnp_uri" in environment:  # Open MPI up to 4 gives an address that JAX reads
        return {}
    size = _number(environment, "OMPI_COMM_WORLD_SIZE")
    address = environment.get("JAX_COORDINATOR_ADDRESS")
    if address is None:
        if _number(environment, "OMPI_COMM_WORLD_LOCAL_SIZE") != size:
            raise TrainingError(
                "this Open MPI (5 or newer) does not tell its processes where process 0 is, and they are on several machines: "
                "name a free port of its machine, as mpirun -x JAX_COORDINATOR_ADDRESS=first-machine:12345 (docs/multi-host.md)"
            )
        # One machine: derive the port from the parent's pid, the only number that all processes share.
        address = f"127.0.0.1:{FIRST_PORT + os.getppid() % (65536 - FIRST_PORT)}"
    return {
        "coordinator_address": address,
        "num_processes": size,
        "process_id": _number(environment, "OMPI_COMM_WORLD_RANK"),
        "local_device_ids": [_number(environment, "OMPI_COMM_WORLD_LOCAL_RANK")],  # as JAX does with earlier ones
    }


def _number(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "")
    return int(value) if value.isdecimal() else 0


def _on_cloud_tpu() -> bool:
    chips = any(Path("/dev", name).exists() for name in ("accel0", "vfio/0"))
    return chips and importlib.util.find_spec("libtpu") is not None


def is_first() -> bool:
    """True in the process that writes."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until every process is here, however long that takes: collectives on CPUs give up after half a minute."""
    if jax.process_count() > 1:
        from orbax.checkpoint import multihost

        wait = multihost.get_barrier_sync_fn(processes=set(range(jax.process_count())))
        assert wait is not None  # None only for a single process
        wait(key=f"sg3x {next(_barriers)} {name}", timeout_ms=BARRIER_MILLISECONDS)


def from_first(make: Callable[[], bytes]) -> bytes:
    """The result of `make` in process 0, everywhere. When it fails there, every process fails."""
    if jax.process_count() == 1:
        return make()
    content, failure = b"", None
    if is_first():
        try:
            content = make()
        except Exception as error:
            failure = error
    barrier("from the first")
    size = from_words(_broadcast(to_words(-1 if failure else len(content))))
    if failure is not None:
        raise failure
    if size < 0:
        raise TrainingError("process 0 could not go on: see its message")
    pieces = []
    for start in range(0, size, PIECE):
        piece = np.frombuffer(content[start : start + PIECE], np.uint8)  # empty but in process 0
        pieces.append(_broadcast(piece if is_first() else np.zeros(min(PIECE, size - start), np.uint8)).tobytes())
    return b"".join(pieces)


def to_words(number: int) -> np.ndarray:
    """A number of at least -1 as int32[2], for a JAX without 64-bit integers: a state may have more than 2 GiB."""
    return np.array(divmod(number, 1 << 31), np.int32)


def from_words(words: np.ndarray) -> int:
    """The argument of `to_words`."""
    return (int(words[0]) << 31) + int(words[1])


def _broadcast(value: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(value))


def pack(tree: Any) -> bytes:
    """The bytes of all leaves, one after the other."""
    return b"".join(np.ascontiguousarray(x).tobytes() for x in jax.tree.leaves(tree))


def unpack(content: bytes, template: Any) -> Any:
    """The arrays that `pack` packed, given arrays or shapes of the same kind."""
    leaves, at = [], 0
    for leaf in jax.tree.leaves(template):
        size = int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize
        leaves.append(np.frombuffer(content[at : at + size], leaf.dtype).reshape(leaf.shape))
        at += size
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


class Agreement:
    """A request to stop in any process: known to all of them at the same step, `LAG` steps later."""

    def __init__(self, mesh: Mesh) -> None:
        self.alone = jax.process_count() == 1
        if self.alone:
            return
        self.shape = (mesh.size,)
        self.split = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
        everywhere = NamedSharding(mesh, PartitionSpec())
        flags = jax.ShapeDtypeStruct(self.shape, np.int32, sharding=self.split)
        self.largest = jax.jit(jnp.max, out_shardings=everywhere).lower(flags).compile()
        self.pending: deque[jax.Array] = deque()

    def __call__(self, wanted: bool) -> bool:
        """Call once a step in every process; true in all of them at once."""
        if self.alone:
            return wanted
        own = np.full(self.shape, wanted, np.int32)
        with jax.transfer_guard("allow"):  # meant, but not counted as an explicit transfer
            flags = jax.make_array_from_callback(self.shape, self.split, lambda index: own[index])
        self.pending.append(self.largest(flags))
        return len(self.pending) > LAG and bool(jax.device_get(self.pending.popleft()))
