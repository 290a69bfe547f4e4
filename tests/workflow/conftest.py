"""Projects to run the workflow in."""

import pytest

from tests.workflow.project import Project, copy_project


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """A project whose workflow ran from end to end, committed."""
    project = copy_project(tmp_path_factory.mktemp("finished") / "project")
    trace = project.folder.parent / "trace"
    project.run("dvc", "repro", SG3X_TRACE_PARAMS=str(trace))
    project.commit("the tiny run")
    return project


@pytest.fixture()
def fresh(tmp_path) -> Project:
    """A project in which nothing ran yet."""
    return copy_project(tmp_path / "project")
