"""The whole workflow with DVC: complete, reproducible to the byte, rerunning only what a change touches."""

import json
import shutil
import time

import pytest

from sg3x.config import declared_params, stages
from sg3x.files.yaml12 import parse_yaml

pytestmark = pytest.mark.slow

RESULTS = [
    "samples.png", "walk.gif", "walk.mp4", "walk.png", "curves.png", "metrics.json", "history.tsv", "scores.tsv", "quality.tsv",
    "neighbours.json", "spectrum.tsv", "report.html", "figures/truncation.png", "figures/mixing.png",
    "figures/walks.mp4", "figures/sticking.png", "figures/motion.mp4", "figures/spectrum.png", "figures/neighbours.png",
]  # fmt: skip


def lock(project):
    return parse_yaml(project.read("dvc.lock"))["stages"]


def ran(output: str) -> list[str]:
    """Stages that DVC ran, not those it skipped or restored."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def test_everything_promised_is_there(finished):
    for name in RESULTS:
        assert (finished.folder / "results" / name).stat().st_size > 0, name
    assert len(list((finished.folder / "samples").glob("seed*.png"))) == 4
    assert sorted(p.name for p in (finished.folder / "models/generator").iterdir()) == [
        "config.json",
        "generator.safetensors",
    ]
    metrics = json.loads(finished.read("results/metrics.json"))
    assert "fid" not in metrics and metrics["frechet_random"] > 0
    assert {"num_fake", "num_real", "extractor", "resize", "dataset_fingerprint"} <= metrics.keys()
    history = finished.read("results/history.tsv").splitlines()
    kimg = [float(line.split("\t")[0]) for line in history[1:]]
    assert kimg == [0.256, 0.504, 0.752, 1.0, 1.256, 1.504, 1.752, 2.0]


def test_every_declared_parameter_is_read_and_no_other(finished):
    trace = (finished.folder.parent / "trace").read_text().split("\n")
    read = {tuple(line.split(" ")) for line in trace if line}
    assert read == {(stage, key) for stage in stages() for key in declared_params(stage)}


def test_nothing_to_do_afterwards_and_quickly(finished):
    assert "up to date" in finished.run("dvc", "status").stdout
    started = time.monotonic()
    again = finished.run("dvc", "repro")
    assert ran(again.stdout) == []
    assert time.monotonic() - started < 15  # 5 s on a free machine; this only catches real work


def test_metrics_and_plots_as_dvc_shows_them(finished, tmp_path):
    shown = json.loads(finished.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert list(shown) == ["results/metrics.json"]  # one file: `dvc exp show` then names columns by their key alone
    finished.run("dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    assert (tmp_path / "plots" / "index.html").is_file()


def test_forced_rerun_gives_the_same_bytes(finished):
    before = finished.read("dvc.lock")
    finished.run("dvc", "repro", "-f")
    assert finished.read("dvc.lock") == before


def test_watching_reruns_nothing_and_changes_no_checkpoint(finished):
    before = lock(finished)
    finished.set_params(run={"fid_every_kimg": 0.5, "fid_samples": 8})
    assert "train" not in finished.run("dvc", "status").stdout
    done = finished.run("dvc", "repro", "-f", "-s", "train@2", "score@2", "curves")
    assert "frechet_random" in done.stdout
    after = lock(finished)["train@2"]["outs"]
    assert [out["path"] for out in after] == ["checkpoints/2", "checkpoints/quality/2.tsv"]
    assert after[0] == before["train@2"]["outs"][0] and after[1] != before["train@2"]["outs"][1]
    rows = [line.split("\t") for line in finished.read("results/quality.tsv").splitlines()]
    assert [row[0] for row in rows] == ["kimg", "1.504", "2.000"]
    finished.run("git", "reset", "-q", "--hard")  # DVC has staged dvc.lock
    finished.run("dvc", "checkout", "-q")
    assert "up to date" in finished.run("dvc", "status").stdout


def test_a_training_parameter_reruns_every_segment_and_nothing_before(finished):
    done = finished.run("dvc", "exp", "run", "--temp", "-S", "r1_gamma=1.0", "--name", "heavier")
    assert finished.run("git", "status", "--porcelain").stdout == "", "the workspace is left alone"
    names = ran(done.stdout)
    assert {"train@1", "train@2", "score@1", "score@2", "export", "evaluate"} <= set(names)
    assert not {"fetch", "prepare", "reference", "init"} & set(names)
    diff = json.loads(finished.run("dvc", "metrics", "diff", "main", "heavier", "--json").stdout)
    # DVC wraps it in "diff" where some file could not be read in a revision.
    changed = diff.get("diff", diff)["results/metrics.json"]
    assert {"frechet_random", "eq_t"} <= changed.keys()
    assert "dataset_fingerprint" not in changed
    finished.run("dvc", "plots", "diff", "main", "heavier", "-o", "../plots")
    finished.run("python3", "-m", "sg3x.cli", "compare", "main", "heavier", "-o", "../two.html")
    html = (finished.folder / ".." / "two.html").read_text()
    assert "r1_gamma" in html[: html.index("<details")] and html.count("models/generator, DVC") == 2
    assert "heavier" in finished.run("dvc", "exp", "show", "--csv").stdout
    finished.run("dvc", "exp", "apply", "heavier")
    assert "up to date" in finished.run("dvc", "status").stdout
    finished.run("git", "reset", "-q", "--hard")
    # The old value comes back from the run cache. DVC may draw the samples again: of that stage's outputs, half are in git.
    restored = finished.run("dvc", "repro")
    assert set(ran(restored.stdout)) <= {"generate"}
    assert finished.run("git", "status", "--porcelain").stdout == ""


def test_extending_would_run_only_the_new_segment(finished):
    """It is done in test_remotes. A dry run ends where something is needed that is not there yet: the new checkpoint."""
    finished.set_params(segments={"3": 2}, total_kimg=3)
    dry = finished.run("dvc", "repro", "--dry", check=False)
    finished.run("git", "reset", "-q", "--hard")
    assert ran(dry.stdout) == ["train@3"] and "checkpoints/3" in dry.stderr


def test_the_reference_comes_before_training_without_being_its_dependency(finished):
    """DVC goes through the stages in the order of dvc.yaml: what run.fid_every_kimg needs is there when it is asked for."""
    names = ran(finished.run("dvc", "repro", "--dry", "-f").stdout)
    assert names.index("reference") < names.index("train@1")


def test_a_mistake_in_the_parameters_is_one_message(fresh):
    fresh.set_params(r1_gama=3.0)
    done = fresh.run("dvc", "repro", "init", check=False)
    assert done.returncode != 0
    assert "unknown key 'r1_gama'; the nearest valid one is 'r1_gamma'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_environment_a_stage_says_what_to_do(fresh):
    bare = shutil.which("python3", path="/usr/bin:/bin") or pytest.skip("no system Python")
    done = fresh.run(bare, "-m", "stages.fetch", check=False)
    assert done.returncode == 1 and "make setup" in done.stderr
