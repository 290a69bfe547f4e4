"""Damaged entries of JAX's compilation cache are replaced, with one line that says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sg3x.files.compiled import remove_unfinished

ROOT = Path(__file__).parents[2]
DAMAGE = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "a flipped bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "something else": lambda content: b"not a program",
}
# Compiles (or reads) one small program; then says what was printed by JAX or by us meanwhile.
COMPILE = """
import sys
import jax
import stages.common
from jax.experimental.compilation_cache import compilation_cache
stages.common.set_up_jax()
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
def tiny(x):
    return x * 3 + 1
for line in sys.stdin:
    jax.clear_caches()
    compilation_cache.reset_cache()
    jax.jit(tiny)(1.0)
    print("compiled", flush=True)
"""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    env |= {"PYTHONPATH": str(ROOT), "SG3X_COMPILED": str(folder), "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-c", COMPILE], env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def run():
        process.stdin.write("\n")
        process.stdin.flush()
        return list(iter(process.stdout.readline, "compiled\n"))

    with process:
        yield folder, run
        process.stdin.close()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_replaced_and_named_once(compiler, damage):
    folder, run = compiler
    run()
    (entry,) = folder.glob("jit_tiny-*-cache")
    content = entry.read_bytes()
    entry.write_bytes(damage(content))
    assert run() == [f"note: damaged programs in {folder} are compiled anew: jit_tiny\n"]
    assert len(entry.read_bytes()) > 100 and entry.read_bytes() != damage(content)
    assert run() == []


def test_in_a_folder_of_limited_size_what_a_kill_left_is_removed(tmp_path):
    for name, used in (("whole", b"12345678"), ("killed", None), ("killed later", b"")):
        (tmp_path / f"{name}-cache").write_bytes(b"program")
        if used is not None:
            (tmp_path / f"{name}-atime").write_bytes(used)
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {".lockfile"} == {"whole-cache", "whole-atime"}
