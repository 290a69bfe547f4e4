"""Runs are found as folders, git revisions and experiments, and compared without checking anything out."""

import subprocess

import pytest
from typer.testing import CliRunner

from sg3x.cli import app
from sg3x.report.compare import compare, find_revision, open_run
from sg3x.report.run import RunError
from tests.report.conftest import PARAMS, write_run

LOCK = """schema: '2.0'
stages:
  export:
    cmd: x
    outs:
    - {path: models/generator, hash: md5, md5: 0123456789abcdef.dir}
    - {path: results/history.tsv, hash: md5, md5: ffff}
"""


def git(folder, *arguments) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    folder = write_run(tmp_path / "project")
    (folder / "dvc.lock").write_text(LOCK)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    write_run(folder, PARAMS.replace("0.02", "1.0"), frechet_random=7.0)
    git(folder, "commit", "-qam", "heavier")
    return folder


def test_two_revisions(repository):
    html = compare("main~1", "main", repository)
    assert "9.5" in html and "-2.5 <b>better</b>" in html and "0123456789abcdef.dir" in html
    assert git(repository, "rev-parse", "main~1").strip() in html
    assert "results/history.tsv, DVC" not in html


def test_a_revision_and_the_folder_as_it_is(repository):
    write_run(repository, frechet_random=5.0)
    html = compare("main", str(repository), repository)
    assert "-2 <b>better</b>" in html and "what was changed since" in html


def test_an_experiment_by_its_name(repository):
    commit = git(repository, "rev-parse", "main").strip()
    git(repository, "update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/wordy-name", "main~1")
    assert find_revision("wordy-name", repository) == git(repository, "rev-parse", "main~1").strip()
    assert open_run("wordy-name", repository).metrics["frechet_random"] == 9.5


def test_a_name_nobody_knows(repository):
    with pytest.raises(RunError, match="neither a folder with a params.yaml nor a commit"):
        compare("main", "nowhere", repository)
    with pytest.raises(RunError, match="neither"):
        compare("--help", "main", repository)


def test_a_revision_without_results_says_what_to_do(repository):
    git(repository, "rm", "-q", "-r", "--cached", "results")
    git(repository, "commit", "-qm", "no results")
    with pytest.raises(RunError, match="once that is committed"):
        compare("main", "main~1", repository)


def test_the_command(repository, monkeypatch):
    monkeypatch.chdir(repository)
    done = CliRunner().invoke(app, ["compare", "main~1", "--out", "pages/two.html"])
    assert done.exit_code == 0 and "pages/two.html" in done.output
    assert (repository / "pages" / "two.html").read_text().startswith("<!doctype html>")
    failed = CliRunner().invoke(app, ["compare", "main", "nowhere"])
    assert failed.exit_code == 1 and "error: 'nowhere'" in failed.output


def test_outside_a_repository_only_folders_have_names(repository, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(RunError, match="elsewhere is no git repository to look it up in"):
        compare("main", str(repository), tmp_path / "elsewhere")


def test_what_else_git_complains_of_is_said_in_its_words(repository):
    commit = git(repository, "rev-parse", "main").strip()
    blob = git(repository, "rev-parse", "main:params.yaml").strip()
    damaged = repository / ".git" / "objects" / blob[:2] / blob[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"not an object")
    with pytest.raises(RunError, match=rf"git show in .*({blob[:7]}|{commit[:7]}|header|corrupt)"):
        compare("main", "main", repository)
