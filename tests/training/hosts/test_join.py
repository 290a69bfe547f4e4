"""Two processes on one machine end where one does; a stop request to either reaches both."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from sg3x.files.fingerprint import hash_tree
from sg3x.training.errors import TrainingError
from sg3x.training.hosts import join as processes
from sg3x.training.hosts.join import addresses, join, launcher, pack, unpack
from sg3x.training.hosts.launch import launch_command
from tests.shared import COMPILED

ROOT = Path(__file__).parents[3]
SCRIPT = "tests.training.two_processes"
FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def start(folder: Path, mode: str, end: int = 1, prefix: tuple[str, ...] = (), **more: str) -> subprocess.Popen[str]:
    dropped = ("SLURM_", "OMPI_", "JAX_", "XLA_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    env |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS, "PYTHONPATH": str(ROOT), **COMPILED, **more}
    command = [*prefix, sys.executable, "-m", SCRIPT, str(folder), mode, str(end)]
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def start_two(folder: Path, mode: str, end: int = 1) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    shared = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    return [start(folder, mode, end, **shared, JAX_PROCESS_ID=str(i)) for i in range(2)]


def finish(*processes: subprocess.Popen[str], status: int = 0) -> list[str]:
    outputs = [p.communicate(timeout=600)[0] for p in processes]
    assert [p.returncode for p in processes] == [status] * len(processes), "\n".join(outputs)
    return outputs


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """What one process makes of it."""
    folder = tmp_path_factory.mktemp("alone")
    finish(start(folder, "deterministic"))
    return folder / "1"


def assert_same_run(mine: Path, theirs: Path) -> None:
    """Equal to the bit: every file of the checkpoint."""
    assert hash_tree(mine) == hash_tree(theirs)


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path, alone):
    outputs = finish(*start_two(tmp_path, "deterministic"))
    assert "2 processes, started by JAX variables" in outputs[0]
    assert_same_run(tmp_path / "1", alone)
    assert "img/s" not in outputs[1], "process 0 alone reports"


@pytest.mark.slow
def test_a_stop_request_to_one_stops_both_and_they_go_on(tmp_path, alone):
    both = start_two(tmp_path, "deterministic")
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("scratch/*/nimg-*")):
        assert time.monotonic() < deadline and both[0].poll() is None, "waited in vain"
        time.sleep(0.01)
    both[1].send_signal(signal.SIGTERM)
    outputs = finish(*both, status=130)
    assert all("progress is saved" in output for output in outputs)
    again = finish(*start_two(tmp_path, "deterministic"))
    assert "resuming at" in again[0]
    assert_same_run(tmp_path / "1", alone)


@pytest.mark.slow
def test_under_mpirun(tmp_path, alone):
    mpirun = shutil.which("mpirun") or pytest.skip("no Open MPI here")
    prefix = (mpirun, "--allow-run-as-root", "--oversubscribe", "--mca", "btl", "self,tcp", "-n", "2")
    output = finish(start(tmp_path, "deterministic", prefix=prefix))[0]
    assert "2 processes, started by Open MPI" in output
    assert_same_run(tmp_path / "1", alone)


# What processes tell one another when they have joined; small pieces, so that there are several.
TALK = """
import os
from sg3x.training.hosts import join as processes
processes.PIECE = 10
processes.join()
said = processes.from_first(lambda: bytes(range(23)))
line = f"{processes.jax.process_count()} processes, {list(said) == list(range(23))}\\n"
os.write(1, line.encode())  # at once: mpirun mixes what two processes print
"""


def talk(*prefix: str, **more: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "OMPI_", "JAX_", "XLA_", "TPU_"))}
    env |= {"JAX_PLATFORMS": "cpu", **more}
    command = [*prefix, sys.executable, "-c", TALK]
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, timeout=300, check=False)
    return done.stdout + done.stderr


def test_under_open_mpi_5():
    """Which, unlike 4, does not say where process 0 is: on one machine that need not be said."""
    mpirun = shutil.which("mpirun") or pytest.skip("no Open MPI here")
    hidden = ("env", "-u", "OMPI_MCA_orte_hnp_uri")
    said = talk(mpirun, "--allow-run-as-root", "--oversubscribe", "--mca", "btl", "self,tcp", "-n", "2", *hidden)
    assert "2 processes, started by Open MPI" in said
    assert said.count("2 processes, True") == 2, said


def test_open_mpi_5_on_several_machines_says_what_to_name():
    apart = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
    with pytest.raises(TrainingError, match="mpirun -x JAX_COORDINATOR_ADDRESS=first-machine:12345"):
        join(apart)
    named = {**apart, "JAX_COORDINATOR_ADDRESS": "first:12345", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
    assert addresses("Open MPI", named) == {
        "coordinator_address": "first:12345", "num_processes": 4, "process_id": 3, "local_device_ids": [1],
    }  # fmt: skip
    assert addresses("Open MPI", {**apart, "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1"}) == {}


def test_a_tpu_host_by_itself_is_one_process():
    """There JAX finds no cluster, and says so by a ValueError."""
    code = (
        "from sg3x.training.hosts import join as processes\n"
        "processes.launcher = lambda environment: processes.CLOUD_TPU\n"
        "processes.join()\nprint(processes.jax.process_count(), 'alone')"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "OMPI_", "JAX_", "XLA_", "TPU_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**env, "JAX_PLATFORMS": "cpu"}, text=True, capture_output=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout == "1 alone\n", done.stderr


def test_other_failures_of_a_tpu_host_are_told(monkeypatch):
    def fail(**_):
        raise ValueError("unsupported worker-network-endpoints format")

    monkeypatch.setattr(processes, "_on_cloud_tpu", lambda: True)
    monkeypatch.setattr(jax.distributed, "initialize", fail)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    with pytest.raises(TrainingError, match="started by Cloud TPU.: unsupported worker"):
        join({})


@pytest.mark.parametrize("size", [-1, 0, 7, 2**31 - 1, 2**31, 5 * 2**31 + 3])
def test_a_size_beyond_31_bits_can_be_told_without_64_bit_integers(size):
    words = processes.to_words(size)
    assert words.dtype == np.int32 and processes.from_words(words) == size


@pytest.mark.parametrize(
    "environment, by",
    [
        ({}, None),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, None),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4"}, "SLURM"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # in the batch script itself
        ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2"}, "JAX variables"),
    ],
)
def test_what_counts_as_launched(environment, by):
    assert launcher({"JAX_PLATFORMS": "cpu", **environment}) == by


def test_a_launcher_goes_before_the_command_or_around_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = [sys.executable, "-m", "stages.train"]
    assert launch_command("mpirun -n 2", own[1:]) == ["mpirun", "-n", "2", *own]
    *before, last = launch_command("ssh 'other machine' {command}", own[1:])
    assert before == ["ssh", "other machine"]
    assert last == f"cd {tmp_path} && SG3X_LAUNCHED=1 {sys.executable} -m stages.train"


def test_what_is_sent_to_the_other_processes_keeps_its_bits():
    tree = {"a": np.array([-0.0, np.nan, 1e-45], np.float32), "b": np.int32(7)}
    found = unpack(pack(tree), jax.eval_shape(lambda: tree))
    assert found["a"].tobytes() == tree["a"].tobytes() and found["b"] == 7
