"""The Makefile's own checks of the machine."""

import subprocess
import sys
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
