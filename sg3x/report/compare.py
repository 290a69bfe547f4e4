"""Two runs side by side: folders, git revisions or DVC experiments, by whatever name each is called."""

from __future__ import annotations

from pathlib import Path

from sg3x.files.yaml12 import parse_yaml
from sg3x.report.page import page
from sg3x.report.run import Run, RunError, folder_reader, git, load_run, revision_reader

_MD5_OF = ("data/arrays", "data/reference", "checkpoints/", "models/generator")


def compare(a: str, b: str, repository: Path) -> str:
    """The report of two runs side by side, as HTML.

    Args:
        a, b: each a folder with a params.yaml and results/, or what `git` or DVC knows in `repository`: a commit, branch,
            tag or experiment.

    Raises:
        RunError: if one is neither, or has no results.
    """
    runs = [open_run(name, repository) for name in (a, b)]
    return page(runs, title=f"{a} and {b}")


def open_run(name: str, repository: Path) -> Run:
    """The run called `name`, with what only git and DVC know of it."""
    folder = Path(name)
    if (folder / "params.yaml").is_file():
        read = folder_reader(folder)
        head = git(folder, "rev-parse", "--short", "HEAD")
        commit = [("folder of git commit", f"{head.decode().strip()}, and what was changed since")] if head else []
    else:
        found = find_revision(name, repository)
        read = revision_reader(repository, found)
        commit = [("git commit", found)]
    return load_run(name, read, commit + _md5s(read("dvc.lock")))


def find_revision(name: str, repository: Path) -> str:
    """The full commit of a git revision or DVC experiment.

    Raises:
        RunError: if there is none of that name, several experiments have it, or this is no repository.
    """
    if git(repository, "rev-parse", "--git-dir") is None:
        raise RunError(
            f"{name!r} is no folder with a params.yaml, and {repository} is no git repository to look it up in"
        )
    if found := git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"):
        return found.decode().strip()
    listed = (git(repository, "for-each-ref", "refs/exps", "--format=%(refname) %(objectname)") or b"").decode()
    experiments = [line.split(" ") for line in listed.splitlines() if line.split(" ")[0].rpartition("/")[2] == name]
    if len(commits := {commit for _, commit in experiments}) == 1:
        return commits.pop()
    if commits:
        raise RunError(f"{len(commits)} experiments are called {name!r}: give the commit, as `dvc exp show` has it")
    raise RunError(
        f"{name!r} is neither a folder with a params.yaml nor a commit, branch, tag or experiment here "
        "(see `git branch`, `dvc exp list`)"
    )


def _md5s(lock: bytes | None) -> list[tuple[str, str]]:
    """DVC's md5 sums of data, checkpoints and model, from dvc.lock."""
    if lock is None:
        return []
    try:
        stages = parse_yaml(lock)["stages"]
        outs = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", []) if "md5" in out}
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"dvc.lock is damaged: {error}") from error
    return [
        (f"{path}, DVC's md5", md5)
        for path, md5 in outs.items()
        if path.startswith(_MD5_OF)
        and not path.startswith("checkpoints/quality/")  # what was measured, not what it is made of
    ]
