"""docs/remotes.md, done for real: pushed once, a clone without any data samples, scores, walks and trains on from the remote."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sg3x.files.yaml12 import parse_yaml
from tests.workflow.project import Project

pytestmark = pytest.mark.slow

# An S3 server with one bucket. It prints its address and lives until its stdin is closed, whatever becomes of the test.
SERVER = """
import sys
import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
boto3.client("s3", endpoint_url=url).create_bucket(Bucket="sg3x")
print(url, flush=True)
sys.stdin.read()
"""
KEY, SECRET = "AKIDEXAMPLE", "never-in-git"
LOOPBACK = {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
SAMPLE_STAGES = ["generate", "evaluate", "walk"]


def isolate(project: Project, home: Path) -> None:
    """Nothing of this machine's own cloud set-up, proxies or git identity takes part."""
    project.env = {k: v for k, v in project.env.items() if not k.startswith("AWS_")} | LOOPBACK | {"HOME": str(home)}
    project.run("git", "config", "user.name", "colleague")
    project.run("git", "config", "user.email", "colleague@example.com")


def give_credentials(project: Project) -> None:
    project.run("dvc", "remote", "modify", "--local", "store", "access_key_id", KEY)
    project.run("dvc", "remote", "modify", "--local", "store", "secret_access_key", SECRET)


def ran(output: str) -> list[str]:
    """Stages that DVC ran, not those it skipped or restored."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def there(project: Project, folder: str) -> set[str]:
    path = project.folder / folder
    return {p.name for p in path.iterdir()} if path.exists() else set()


def lock(project: Project) -> dict:
    return parse_yaml(project.read("dvc.lock"))["stages"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def s3_url(home):
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], env=LOOPBACK | keys | {"HOME": str(home)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert server.stdout is not None
    url = next((line.strip() for line in server.stdout if line.startswith("http://127.0.0.1:")), None)
    assert url, "the S3 server did not start"
    yield url
    server.communicate(timeout=30)


@pytest.fixture(scope="module")
def pushed(finished, s3_url, home, tmp_path_factory) -> Project:
    """The finished run with two remotes, `store` (S3, the default) and `shelf` (a directory), pushed to S3."""
    isolate(finished, home)
    finished.run("dvc", "remote", "add", "-d", "store", "s3://sg3x/cats")
    finished.run("dvc", "remote", "modify", "store", "endpointurl", s3_url)
    finished.run("dvc", "remote", "modify", "store", "region", "us-east-1")
    finished.run("dvc", "remote", "add", "shelf", str(tmp_path_factory.mktemp("shelf")))
    give_credentials(finished)
    finished.commit("remotes")
    finished.run("dvc", "push")
    finished.run("dvc", "push", "--run-cache")
    return finished


@pytest.fixture()
def clone(pushed, home, tmp_path) -> Project:
    """What a colleague has after `git clone` and typing the credentials: no pictures, no model, no checkpoints."""
    folder = tmp_path / "clone"
    pushed.run("git", "clone", "-q", str(pushed.folder), str(folder))
    project = Project(folder)
    isolate(project, home)
    give_credentials(project)
    assert not any((folder / name).exists() for name in ("data/raw", "data/arrays", "checkpoints", "models", "samples"))
    return project


def test_everything_is_pushed_and_no_credential_is_in_git(pushed):
    assert "in sync" in pushed.run("dvc", "status", "--cloud").stdout
    assert pushed.run("git", "status", "--porcelain").stdout == ""
    assert pushed.run("git", "grep", "-l", "-e", SECRET, "-e", KEY, "--", ".dvc", check=False).stdout == ""
    assert SECRET in pushed.read(".dvc/config.local")


def test_without_credentials_nothing_is_fetched_and_dvc_says_why(clone):
    (clone.folder / ".dvc/config.local").unlink()
    refused = clone.run("dvc", "pull", "export", check=False)
    assert refused.returncode != 0 and "Unable to locate credentials" in refused.stderr
    assert not (clone.folder / "models").exists()


def test_a_clone_samples_scores_and_walks_from_the_pulled_model(pushed, clone):
    clone.run("dvc", "pull", "export", "reference")
    assert there(clone, "models") == {"generator"} and there(clone, "data") & {"raw", "arrays"} == set()
    for name in ("samples.png", "metrics.json", "walk.gif", "walk.mp4", "walk.png"):
        (clone.folder / "results" / name).unlink()

    done = clone.run("dvc", "repro", "-f", "-s", *SAMPLE_STAGES)

    assert ran(done.stdout) == SAMPLE_STAGES
    assert there(clone, "samples") == there(pushed, "samples") != set()
    assert clone.read("dvc.lock") == pushed.read("dvc.lock")
    assert clone.run("git", "status", "--porcelain").stdout == ""  # the pictures and numbers in git, to the byte
    assert "up to date" in clone.run("dvc", "status", *SAMPLE_STAGES).stdout
    assert not (clone.folder / "checkpoints").exists() and not (clone.folder / "scratch").exists()
    assert there(clone, "data") & {"raw", "arrays"} == set()


def test_a_clone_trains_on_from_the_pulled_checkpoint(pushed, clone):
    extend = ("-S", "+segments.3=2", "-S", "total_kimg=3")
    done = clone.run("dvc", "exp", "run", "--pull", "--allow-missing", *extend)

    assert ran(done.stdout) == ["train@3", "score@3", "export", *SAMPLE_STAGES, "curves", "figures", "report"]
    assert "starting at 2.000 kimg from checkpoints/2" in done.stdout
    assert there(clone, "checkpoints") - {".gitignore", "quality"} == {"2", "3"}
    assert not (clone.folder / "data/raw").exists()
    kimg = [float(line.split("\t")[0]) for line in clone.read("results/history.tsv").splitlines()[1:]]
    assert kimg[0] < 1 and kimg[-1] == 3.0 and kimg == sorted(kimg)
    mine, theirs = lock(clone), lock(pushed)
    untouched = ["fetch", "prepare", "reference", "init", "train@1", "train@2", "score@1", "score@2"]
    assert {name: mine[name] for name in untouched} == {name: theirs[name] for name in untouched}


def test_in_an_empty_clone_plain_repro_starts_over_and_pull_allow_missing_does_nothing(clone):
    plain = clone.run("dvc", "repro", "--dry", check=False)
    assert ran(plain.stdout)[:1] == ["fetch"]
    asked = clone.run("dvc", "repro", "--pull", "--allow-missing")
    assert ran(asked.stdout) == [] and "up to date" in asked.stdout
    assert not (clone.folder / "checkpoints").exists()


def test_a_directory_is_a_remote_too(pushed, clone):
    pushed.run("dvc", "push", "-r", "shelf")
    shutil.rmtree(clone.folder / ".dvc/cache", ignore_errors=True)
    (clone.folder / ".dvc/config.local").unlink()  # a directory needs no credentials
    clone.run("dvc", "pull", "-r", "shelf")
    assert there(clone, "checkpoints") >= {"0", "1", "2"} and (clone.folder / "data/raw").is_dir()
    assert "up to date" in clone.run("dvc", "status").stdout
    assert ran(clone.run("dvc", "repro").stdout) == []
