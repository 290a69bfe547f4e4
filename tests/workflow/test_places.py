"""Outputs' folders that are links to another disk are refused before the work, with what to do instead."""

import pytest

from stages.common import main, refuse_links


@pytest.mark.parametrize("place", ["checkpoints", "data", "data/arrays", "models", "results", "samples"])
def test_a_link_out_of_the_repository_is_refused_first(place, tmp_path, monkeypatch, capsys):
    (repository := tmp_path / "here").mkdir()
    (big := tmp_path / "big").mkdir()
    monkeypatch.chdir(repository)
    (repository / place).parent.mkdir(exist_ok=True)
    (repository / place).symlink_to(big)
    with pytest.raises(SystemExit):
        main(lambda: pytest.fail("the stage ran"), keep_memory=False)
    said = capsys.readouterr().err
    assert f"{place} is a link to" in said and "dvc cache dir" in said and "SG3X_SCRATCH" in said


def test_folders_and_links_inside_are_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "checkpoints").symlink_to(tmp_path / "elsewhere")
    refuse_links()
