"""`sg3x.data.watched`: what DVC is made to depend on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sg3x.data.watched import NOTHING, linked_folders, locate, watch


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "stages").mkdir()
    (folder / "stages" / "fetch.py").write_text("fetch")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def copy(project, monkeypatch) -> Path:
    """Where `dvc exp run --temp` runs."""
    folder = project / ".dvc" / "tmp" / "exps" / "standalone" / "tmp1"
    (folder / "data").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("given", ["mycats", "./mycats", "../project/mycats", "ABSOLUTE", "~/mycats"])
def test_every_way_to_name_a_folder(project, monkeypatch, given):
    monkeypatch.setenv("HOME", str(project))
    (project / "mycats").mkdir()
    assert locate(given.replace("ABSOLUTE", str(project / "mycats")), "fetch.path") == project / "mycats"


def test_a_relative_path_counts_from_the_workspace_in_a_temporary_copy_too(project, copy):
    (project / "mycats").mkdir()
    assert locate("mycats", "fetch.path") == project / "mycats"
    (copy / "mycats").mkdir()  # of pictures in git the copy has those of its commit
    assert locate("mycats", "fetch.path") == copy / "mycats"
    watch(Path("data/source"), copy / "mycats")
    assert os.readlink("data/source") == "../mycats"  # the copy will be removed


def test_what_is_not_there_is_named_with_all_the_places(project, copy):
    with pytest.raises(
        ValueError, match=r"fetch\.zip is 'a\.zip', which is not there \(looked at .*tmp1/a\.zip and .*project/a\.zip"
    ):
        locate("a.zip", "fetch.zip")


def test_the_link_leads_to_the_pictures_and_back_to_nothing(project):
    link = project / "data" / "source"
    (project / "mycats").mkdir()
    (project / "mycats" / "a.png").touch()
    assert watch(link, project / "mycats") is None
    assert os.readlink(link) == str(project / "mycats")
    assert watch(link, None) is None
    assert os.readlink(link) == NOTHING
    assert link.read_text() == "fetch"
    assert sorted(file.name for file in link.parent.iterdir()) == ["source"]


def test_a_checkout_without_links_is_left_as_it_is(project):
    link = project / "data" / "source"
    link.write_text("fetch")
    watch(link, None)
    assert not link.is_symlink()
    link.write_text("of an older commit")
    watch(link, None)
    assert os.readlink(link) == NOTHING


def dangling(folder: Path) -> None:
    (folder / "bad.png").symlink_to("nowhere")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "bad.png")


def not_utf8(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.png")).touch()


@pytest.mark.parametrize("spoil", [dangling, pipe, not_utf8])
def test_what_would_make_dvc_fail_is_named_and_not_watched(project, spoil):
    (project / "mycats").mkdir()
    spoil(project / "mycats")
    assert "bad" in (watch(Path("data/source"), project / "mycats") or "")
    assert os.readlink("data/source") == NOTHING


def test_linked_folders_are_found(project):
    (project / "mycats" / "deep").mkdir(parents=True)
    (project / "mycats" / "deep" / "linked").symlink_to(project / "data")
    assert linked_folders(project / "mycats") == ["deep/linked"]


def test_the_committed_link_leads_to_a_dependency_of_the_stage():
    root = Path(__file__).parents[2]
    if not (root / "data" / "source").is_symlink():
        pytest.skip("checked out without links")
    text = (root / "dvc.yaml").read_text()
    assert "      - data/source" in text and "      - stages/fetch.py" in text
