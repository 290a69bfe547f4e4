"""`run.launcher` of params.yaml: the stage replaces itself by the launcher, which starts it several times."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sg3x.files.lifeline import die_with_parent
from sg3x.training.errors import TrainingError
from sg3x.training.hosts.join import CLOUD_TPU, launcher

PATIENCE = "OMPI_MCA_odls_base_sigkill_timeout"  # seconds between mpirun's SIGTERM and its SIGKILL
MARK = "SG3X_LAUNCHED"  # in the environment of what a launcher started


def launch(prefix: str, arguments: Sequence[str]) -> None:
    """Replaces this process by `prefix python ARGUMENTS`, unless that was done or `prefix` is empty. Returns then.

    Raises:
        TrainingError: the launcher cannot be found.
    """
    # A Cloud TPU machine counts as launched whatever started it: there the mark alone tells.
    if not prefix.strip() or os.environ.get(MARK) or launcher() not in (None, CLOUD_TPU):
        return
    command = launch_command(prefix, arguments)
    check_launcher(prefix)
    die_with_parent()  # is kept over exec: the launcher ends when `dvc` does, and ends what it started
    sys.stdout.flush()
    os.execvpe(command[0], command, launch_environment(os.environ))


def check_launcher(prefix: str) -> None:
    """Raises TrainingError when `prefix` is no command line of a program that is here."""
    if not prefix.strip():
        return
    program = _split(prefix)[0]
    if shutil.which(program) is None:
        raise TrainingError(
            f"run.launcher starts with {program!r}, which is not installed here: install it, give its full path, "
            'or set run.launcher: ""'
        )


def _split(prefix: str) -> list[str]:
    try:
        words = shlex.split(prefix)
    except ValueError as error:  # a quote that is not closed
        raise TrainingError(f"run.launcher={prefix!r} is no command line: {error}") from None
    if not words or not words[0]:
        raise TrainingError(f'run.launcher={prefix!r} names no program: set run.launcher: "" to start none')
    return words


def launch_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Our environment with the mark, and with time to save for what Open MPI stops: a second, if nobody says otherwise."""
    return {PATIENCE: "30", **own, MARK: "1"}


def launch_command(prefix: str, arguments: Sequence[str]) -> list[str]:
    """`prefix` followed by the stage's own command, or with the command, as one shell word, in place of {command}.

    The second form is for launchers that take a command line, such as `gcloud ... ssh --worker=all --command={command}`;
    it changes to this folder first, which has to be there on every machine.
    """
    words, own = _split(prefix), [sys.executable, *arguments]
    if not any("{command}" in word for word in words):
        return [*words, *own]
    line = f"cd {shlex.quote(str(Path.cwd()))} && {MARK}=1 {shlex.join(own)}"
    return [word.replace("{command}", line) for word in words]
