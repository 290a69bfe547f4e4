"""A copy of the project as its own git and DVC repository, with parameters so small that the whole workflow takes a minute."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from sg3x.files.yaml12 import parse_yaml
from tests.shared import PROGRAMS

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


class Project:
    """A checkout to run commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        dropped = ("PYTHONPATH", "SG3X_", "PYTEST_", "GIT_")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        # What one test compiles many run: unlike in other tests, a little optimisation pays.
        self.env |= {"PATH": path, "XLA_FLAGS": "--xla_backend_optimization_level=1", "JAX_PLATFORMS": "cpu"}
        self.env["SG3X_COMPILED"] = str(PROGRAMS)

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env={**self.env, **env}, text=True, capture_output=True, timeout=900, check=False
        )
        if check:
            assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *command: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.env, **env}, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-qm", message)

    def set_params(self, **values: Any) -> None:
        """Changes top-level keys of params.yaml; a dict changes keys of a section."""
        params = parse_yaml(self.read("params.yaml"))
        for key, value in values.items():
            params[key] = {**params[key], **value} if isinstance(value, dict) else value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


def copy_project(folder: Path, params: Path = TINY) -> Project:
    """The files git would commit from here, in a repository of their own; results and lock of the demo left out.

    `params`: laid over the demo's values.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if name == "dvc.lock" or name.startswith(("results/", "docs/", "tests/golden/")) or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    write_params(folder, params)
    project = Project(folder)
    project.run("git", "init", "-q", "-b", "main")
    project.commit("start")
    return project


def write_params(folder: Path, over: Path) -> None:
    """`over` over the demo's values: DVC wants every declared key to be there."""
    params = parse_yaml((folder / "presets" / "demo.yaml").read_bytes())
    for key, value in parse_yaml(over.read_bytes()).items():
        if key != "segments" and isinstance(value, dict):
            params[key].update(value)
        else:
            params[key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
