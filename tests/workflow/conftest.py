"""Projects to run the workflow in."""

import shutil
from pathlib import Path

import pytest

from tests.shared import once
from tests.workflow.project import Project, copy_project


def run_all(folder: Path) -> None:
    project = copy_project(folder / "project")
    project.run("dvc", "repro", SG3X_TRACE_PARAMS=str(folder / "trace"))
    project.commit("the tiny run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """A project whose workflow ran from end to end, committed: a copy of its own of the one that all modules share."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(once("finished", run_all), folder, dirs_exist_ok=True, symlinks=True)
    return Project(folder / "project")


@pytest.fixture()
def fresh(tmp_path) -> Project:
    """A project in which nothing ran yet."""
    return copy_project(tmp_path / "project")
