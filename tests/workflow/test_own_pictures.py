"""The user's own pictures under DVC: changes are noticed, nothing is copied twice, nothing of the user's is deleted."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.workflow.project import Project, copy_project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A project with a user's folder of pictures beside it, in it, and at home, none of them in git."""
    folder = tmp_path_factory.mktemp("own")
    for place in ("beside", "home/mycats", "project/mycats"):
        (folder / place / "sub").mkdir(parents=True)
        for i in range(8):
            draw(folder / place / f"{'sub/' * (i % 2)}{i}.png", i)
    project = copy_project(folder / "project")
    project.run("git", "rm", "-rq", "--cached", "mycats")
    (project.folder / ".git" / "info" / "exclude").write_text("/mycats\n")
    project.env["HOME"] = str(folder / "home")
    project.run("git", "config", "--global", "user.name", "test")
    project.run("git", "config", "--global", "user.email", "test@example.com")
    project.commit("the pictures are not in git")
    return project


def draw(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)
    path.unlink(missing_ok=True)
    Image.fromarray(pixels).save(path)


def repro(project: Project, *more: str) -> str:
    done = project.run("dvc", "repro", "prepare", *more)
    return done.stdout + done.stderr


def taken(project: Project) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (project.folder / "data" / "raw" / "train" / "cat").iterdir()}


def own(project: Project, path: str) -> None:
    project.set_params(fetch={"source": "path", "path": path})


PLACES = {"relative": "mycats", "absolute": "BESIDE", "home": "~/mycats"}


@pytest.mark.parametrize("place", PLACES)
def test_a_changed_picture_is_noticed_and_an_unchanged_one_is_not_copied_again(project, place):
    given = PLACES[place].replace("BESIDE", str(project.folder.parent / "beside"))
    folder = {"relative": project.folder / "mycats", "home": Path(project.env["HOME"], "mycats")}.get(
        place, Path(given)
    )
    own(project, given)
    repro(project)
    assert "Running stage" not in repro(project)
    draw(folder / "2.png", 100 + len(place))
    assert "data/source" in project.run("dvc", "status", "fetch").stdout
    assert "stages.fetch" in repro(project)
    assert taken(project)["2.png"] == (folder / "2.png").read_bytes()
    (folder / "3 more.png").write_bytes((folder / "0.png").read_bytes())
    repro(project)
    assert "3 more.png" in taken(project)
    (folder / "3 more.png").unlink()


def test_a_changed_zip_is_noticed_even_when_the_output_is_gone(project, tmp_path):
    for seed in (0, 50):
        with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
            for i in range(8):
                draw(tmp_path / "a.png", seed + i)
                archive.write(tmp_path / "a.png", f"{i}.png")
        own(project, str(tmp_path / "mine.zip"))
        shutil.rmtree(project.folder / "data" / "raw", ignore_errors=True)
        repro(project)
        assert taken(project)["7.png"] == (tmp_path / "a.png").read_bytes()


def test_a_temporary_copy_finds_them_and_copies_nothing_that_is_unchanged(project):
    own(project, "mycats")
    repro(project)
    project.commit("my cats")
    said = project.run("dvc", "exp", "run", "--temp", "-S", "prepare.flips=false", "prepare").stdout
    assert "Stage 'fetch' didn't change" in said
    draw(project.folder / "mycats" / "4.png", 300)
    said = project.run("dvc", "exp", "run", "--temp", "prepare").stdout
    assert "'name': 'mycats'" in said
    own(project, "nowhere")
    failed = project.run("dvc", "exp", "run", "--temp", "prepare", check=False)
    assert f"fetch.path is 'nowhere', which is not there (looked at {project.folder}/.dvc/tmp/exps" in failed.stderr


def test_a_picture_put_into_data_raw_by_hand_stays_there(project):
    own(project, "mycats")
    repro(project)
    mine = project.folder / "data" / "raw" / "train" / "cat" / "mine.png"
    draw(mine, 400)
    failed = project.run("dvc", "repro", "prepare", check=False)
    assert "data/raw holds 1 file (train/cat/mine.png), which the fetch stage did not put there" in failed.stderr
    assert mine.exists()
    mine.unlink()
    assert "Running stage" not in repro(project)


def test_a_link_to_nowhere_ends_nothing_where_unreadable_pictures_are_skipped(project):
    folder = project.folder.parent / "beside"
    (folder / "gone.png").symlink_to("nowhere")
    own(project, str(folder))
    failed = project.run("dvc", "repro", "prepare", check=False)
    assert "DVC cannot watch" in failed.stdout
    assert "gone.png: a link that leads nowhere" in failed.stderr
    project.set_params(prepare={"unreadable": "skip"})
    repro(project)
    (folder / "gone.png").unlink()
    project.set_params(prepare={"unreadable": "error"})


def test_too_few_pictures_are_refused_before_any_training(project):
    project.set_params(fetch={"source": "toycats", "path": None, "count": 5})
    failed = project.run("dvc", "repro", "prepare", check=False)
    assert "5 pictures can be read; allowed are 6 and more" in failed.stderr
    project.set_params(fetch={"count": 24})
    repro(project)
    assert (project.folder / "data" / "source").resolve() == project.folder / "stages" / "fetch.py"
