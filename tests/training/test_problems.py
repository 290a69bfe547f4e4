"""When it goes wrong, for real where that can be arranged: the message says what, where and what to do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training import loop
from sg3x.training.execute.memory import advice, check_memory, explain_out_of_memory
from sg3x.training.execute.microbatches import Microbatches, choose_microbatches
from sg3x.training.objective.statistics import zero_statistics
from sg3x.training.problems import TrainingError, check_finite, explain_write
from sg3x.training.state import TrainConfig

ROOT = Path(__file__).parents[2]
G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
CONFIG = TrainConfig(G, DiscriminatorConfig(16, channel_base=32, channel_max=4), batch_size=32, r1_gamma=1.0)
WHOLE = choose_microbatches(32, 4, 1, None, False)

# Saves a checkpoint of two megabytes where there is less room: a file-size limit, or a small disk.
SAVE = """
import numpy as np, resource, sys
from pathlib import Path
from sg3x.training.problems import TrainingError
from sg3x.training.progress import Progress
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
progress = Progress(Path(sys.argv[1]), {})
small = {"nimg": np.int32(8), "w": np.zeros(10, np.float32)}
progress.save(small, 8, [], wait=True)
try:
    progress.save({"nimg": np.int32(16), "w": np.random.rand(500_000).astype(np.float32)}, 16, [], wait=True)
except TrainingError as error:
    print(error)
found, _ = progress.newest(small)
print("left:", int(found["nimg"]), sorted(p.name for p in Path(sys.argv[1]).iterdir()))
"""


def save_where_there_is_no_room(folder: Path, how: str, *prefix: str) -> str:
    command = [*prefix, sys.executable, "-c", SAVE, str(folder), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_named_and_the_checkpoint_before_is_whole(tmp_path):
    mount = f'mount -t tmpfs -o size=400k tmpfs "{tmp_path}" && exec "$@"'
    prefix = ("unshare", "-rm", "sh", "-c", mount, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    said = save_where_there_is_no_room(tmp_path, "disk", *prefix)
    assert "the disk is full" in said and "SG3X_SCRATCH" in said
    assert "left: 8 ['nimg-000000000008']" in said


def test_a_file_size_limit_is_named_and_the_checkpoint_before_is_whole(tmp_path):
    said = save_where_there_is_no_room(tmp_path, "limit")
    assert "file-size limit" in said and "nimg-000000000016" in said
    assert "left: 8 ['nimg-000000000008']" in said


def test_a_folder_that_is_a_file_is_no_crash(tmp_path):
    (tmp_path / "scratch").write_text("")
    with pytest.raises(TrainingError, match="cannot write"), explain_write(tmp_path / "scratch/x"):
        (tmp_path / "scratch" / "x").mkdir(parents=True)


def test_where_nothing_moves_the_folder_nothing_is_said_of_moving_it(tmp_path):
    with pytest.raises(TrainingError, match="free some space") as caught, explain_write(tmp_path, in_scratch=False):
        raise OSError(28, "No space left on device")
    assert "SG3X_SCRATCH" not in str(caught.value)


def test_a_read_only_folder_is_named(tmp_path):
    bind = f'mount --bind "{tmp_path}" "{tmp_path}" && mount -o remount,ro,bind "{tmp_path}" && exec "$@"'
    prefix = ("unshare", "-rm", "sh", "-c", bind, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    code = (
        "import sys; from pathlib import Path; from sg3x.training.problems import *\n"
        "try:\n with explain_write(Path(sys.argv[1])): Path(sys.argv[1], 'x').mkdir()\n"
        "except TrainingError as error: print(error)"
    )
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "cannot be written to: change its permissions, or move scratch/ to a folder that can" in done.stdout
    assert "set SG3X_SCRATCH to that folder" in done.stdout


def test_the_first_term_that_is_not_finite_is_named_with_its_step():
    totals = {**zero_statistics(), "steps": np.float32(40), "loss_g": np.float32("nan"), "loss_d": np.float32("nan")}
    totals |= {"trouble_step": np.int32(1234), "trouble_term": np.int32(1)}
    with pytest.raises(TrainingError) as caught:
        check_finite(totals, 0.0, 20_000, Path("scratch/x/nimg-1"))
    message = str(caught.value)
    assert "grad_norm_g (the norm of G's gradient) is not finite since step 1234" in message
    assert "20.000 kimg, within the last 40 steps" in message and "Last good checkpoint: scratch/x/nimg-1" in message
    assert "r1_gamma" in message and "Nothing of the broken state was saved" in message


def test_a_weight_that_is_not_finite_is_enough():
    with pytest.raises(TrainingError, match="a weight is not finite"):
        check_finite(zero_statistics(), float("inf"), 8, Path("p"))
    check_finite(zero_statistics(), 1.0, 8, Path("p"))


def test_too_much_memory_is_refused_before_it_is_tried_with_what_to_set():
    with pytest.raises(TrainingError, match=r"phase R1 needs .* GiB per device .* Set batch_per_device: 8 \(now 32\)"):
        # Three times any machine.
        from sg3x.training.execute.memory import device_limit

        check_memory({"G": 1, "R1": 3 * device_limit()}, CONFIG, WHOLE, 1)


def test_the_runtimes_out_of_memory_is_explained():
    """Really: an array no machine has room for."""
    import jax
    import jax.numpy as jnp

    with (
        pytest.raises(
            TrainingError, match=r"out of device memory.*Set batch_per_device: 16 \(now 32\).*RESOURCE_EXHAUSTED"
        ),
        explain_out_of_memory(CONFIG, WHOLE, 1),
    ):
        jax.block_until_ready(jax.jit(lambda: jnp.ones((1 << 46,), jnp.float32))())


# A segment whose address space ends 100 MB above what it has when everything is compiled; a step needs about 200 MB.
CRAMPED = """
import resource, sys
from pathlib import Path
import numpy as np
from sg3x.training import loop
from sg3x.training.checkpoints import save_checkpoint
from sg3x.training.problems import TrainingError
from sg3x.training.state import TrainConfig, init_state
from tests.training.two_processes import G, D
def barrier(name):
    if name == "compiled":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 100_000_000,) * 2)
loop.barrier = barrier
folder = Path(sys.argv[1])
meta = {"generator": G.to_dict(), "discriminator": D.to_dict(), "nimg": 0}
save_checkpoint(folder / "0", init_state(G, D, 0), meta, [])
segment = loop.Segment(folder / "0", folder / "1", 1000, folder / "scratch", log_kimg=1000)
try:
    loop.run_segment(TrainConfig(G, D, 1024, 1.0), segment, np.zeros((8, 16, 16, 3), np.uint8), "data")
except TrainingError as error:
    print("told:", error)
"""


def test_out_of_memory_inside_the_compiled_step_is_explained(tmp_path):
    """Really, and out of a step that was queued: not where it was called, and with another status."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    done = subprocess.run(
        [sys.executable, "-c", CRAMPED, str(tmp_path)], cwd=ROOT, env={**env, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        text=True, capture_output=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stdout.partition("told: ")[2]
    count = re.match(r"out of device memory \(the compiler's count: (\d+) MiB per device\); a device has ", told)
    assert count and int(count[1]) > 100, done.stdout
    assert "Set batch_per_device: 512 (now 1024)" in told and "Out of memory allocating" in told


def test_other_errors_pass_unchanged():
    with pytest.raises(ValueError, match="another"), explain_out_of_memory(CONFIG, WHOLE, 1):
        raise ValueError("another")


def test_where_parts_cannot_be_smaller_other_ways_are_named():
    least = advice(CONFIG, Microbatches(32, 4, 1, 4, "accumulated"), 1)
    assert "activation_dtype: bfloat16" in least and "batch_per_device is 4" in least
    ordered = advice(CONFIG, Microbatches(32, 4, 1, 4, "ordered"), 1)
    assert "deterministic: true computes 4 pictures" in ordered and "batch_per_device" not in ordered


@pytest.mark.parametrize(
    "shape, dtype", [((8, 32, 32, 3), np.uint8), ((8, 16, 16, 3), np.float32), ((8, 16, 16), np.uint8)]
)
def test_an_array_of_another_shape_or_type_is_named(shape, dtype):
    with pytest.raises(TrainingError, match=r"needed is uint8\[N, 16, 16, 3\].*prepare"):
        loop._check_images(CONFIG, np.zeros(shape, dtype))
