"""A stranger's params.yaml runs nothing in the shell, and a model that a user adds is seen by DVC."""

import pytest
import yaml

from sg3x.files.yaml12 import parse_yaml

pytestmark = pytest.mark.slow

HOSTILE = {
    "segments": ({"segments": {"1; touch pwned": 0}}, "train@1; touch pwned"),
    "quotes": ({"segments": {"1'$(touch pwned)": 0}}, "score@1'$(touch pwned)"),
    "parent": ({"segments": {"1": "0; touch pwned"}}, "train@1"),
    "total_kimg": ({"total_kimg": "24; touch pwned"}, "export"),
    "init.from": ({"init": {"from": "stages/init.py; touch pwned"}}, "init"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_params_say_never_reaches_the_shell(fresh, name):
    change, stage = HOSTILE[name]
    params = parse_yaml(fresh.read("params.yaml"))
    for key, value in change.items():
        params[key] = {**params[key], **value} if key == "init" else value
    (fresh.folder / "params.yaml").write_text(yaml.safe_dump(params))
    done = fresh.run("dvc", "repro", "-f", "-s", stage, check=False)
    assert done.returncode != 0
    assert not list(fresh.folder.rglob("pwned"))


def test_an_imported_model_that_was_added_is_pushed_and_pulled(fresh, tmp_path):
    model = fresh.folder / "models" / "imported"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    assert fresh.run("git", "status", "--porcelain").stdout == ""
    fresh.run("dvc", "add", "models/imported")
    fresh.run("dvc", "remote", "add", "-d", "shelf", str(tmp_path / "shelf"))
    fresh.commit("a model")
    fresh.run("dvc", "push")
    fresh.run("dvc", "gc", "-w", "-f")
    assert "up to date" in fresh.run("dvc", "status", "models/imported").stdout
    clone = tmp_path / "clone"
    fresh.run("git", "clone", "-q", str(fresh.folder), str(clone))
    fresh.folder = clone
    fresh.run("dvc", "pull", "models/imported")
    assert (clone / "models/imported/config.json").read_text() == "{}"
