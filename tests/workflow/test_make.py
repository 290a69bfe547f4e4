"""The Makefile's own checks of the machine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` on a copy, so that no environment is there yet."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return subprocess.run(["make", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_missing_python_is_named(tmp_path):
    done = make(tmp_path, "setup", "PYTHON=python-that-is-not-there")
    assert done.returncode != 0
    assert "python-that-is-not-there is missing: install Python 3.11 or newer" in done.stdout + done.stderr


def test_an_old_python_is_named_with_its_version(tmp_path):
    old = tmp_path / "python3.9"
    # Runs the Makefile's own check with an older version number.
    old.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9, 2); $1"\n')
    old.chmod(0o755)
    done = make(tmp_path, "setup", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr and "is 3.9" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("target", ["demo", "test", "setup", "bench"])
def test_every_target_sets_up_the_environment_first(target):
    done = subprocess.run(["make", "-n", "-B", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "-m venv .venv" in done.stdout and "-c constraints.txt" in done.stdout


def test_the_constraints_are_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        assert name and version and not set(line) & set("/@: "), line


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~ ]", requirement)[0].lower() for requirement in requirements}


def test_the_packages_the_program_stands_on_are_declared_and_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared, extras = names(project["dependencies"]), project["optional-dependencies"]
    assert {"jax", "flax", "optax", "numpy", "scipy", "dvc", "pillow", "pyyaml", "orbax-checkpoint"} <= declared
    assert "ruamel.yaml" not in declared | names(extras["dev"])
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert declared | names(extras["fid"]) | names(extras["dev"]) - {"clean-fid"} <= pinned | {"ruff", "mypy"}


def test_clean_fid_comes_with_all_it_declares_and_into_tests_alone():
    """torchvision and the libraries of CUDA beside it are gigabytes that no test needs."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert names(extras["fid"]) == {"clean-fid"} and not {"clean-fid", "torchvision"} & names(extras["dev"])
    done = subprocess.run(["make", "-n", "-B", "setup-dev"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-e '.[dev]'" in done.stdout and "--no-deps clean-fid==" in done.stdout and "fid]" not in done.stdout
