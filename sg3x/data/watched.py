"""The user's pictures as DVC sees them: a link inside the repository, which the fetch stage depends on.

DVC expands no `~`, allows no dependency without a path, and copies nothing that is not in git into the folder of
`dvc exp run --temp`. So dvc.yaml names `data/source`: a link that git tracks, to `stages/fetch.py` (a dependency
anyhow) while pictures come from elsewhere, and to the user's folder or zip by its absolute path as soon as they do not.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sg3x.data.names import printable

NOTHING = "../stages/fetch.py"  # where the link leads, seen from data/, when there are no pictures of the user's


def locate(given: str, param: str, here: Path | None = None) -> Path:
    """The absolute path of the user's folder or zip.

    A relative path counts from the project's folder `here`; in the copy of it that `dvc exp run --temp` and `--queue`
    make, also from the project that was copied, because folders outside git are not.

    Raises:
        ValueError: nothing is there.
    """
    here = Path.cwd() if here is None else here
    path = Path(given).expanduser()
    places = [here / path]
    if not path.is_absolute() and (workspace := _copied_from(here)) is not None:
        places.append(workspace / path)
    for place in places:
        if place.exists():
            return Path(os.path.abspath(place))  # links stay: a link that is turned elsewhere is a change
    looked = " and ".join(str(place) for place in places)
    raise ValueError(
        f"{param} is {given!r}, which is not there (looked at {looked}); give a folder of pictures or a zip of one"
    )


def watch(link: Path, source: Path | None) -> str | None:
    """Turns `link` to what the fetch stage is to depend on; None stands for nothing of the user's.

    Returns:
        Why DVC cannot watch `source`, when it cannot: then the link leads to nothing of the user's either.
    """
    reason = None if source is None else _unwatchable(source)
    target = NOTHING if source is None or reason else _target(source, link)
    if not _leads_to(link, target):
        beside = link.with_name(f".{link.name}.{os.getpid()}.partial")
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.replace(link)
    return reason


def _target(source: Path, link: Path) -> str:
    """Absolute, but inside the copy of an experiment relative: the copy is removed, its link is not."""
    here = Path.cwd()
    if _copied_from(here) is not None and source.is_relative_to(here):
        return os.path.relpath(source, link.absolute().parent)
    return str(source)


def _leads_to(link: Path, target: str) -> bool:
    """True if `link` is the link to `target`, or the copy of nothing that is left where links are not copied as such."""
    if link.is_symlink():
        return os.readlink(link) == target
    nothing = link.parent / NOTHING
    return target == NOTHING and link.is_file() and link.read_bytes() == nothing.read_bytes()


def linked_folders(source: Path) -> list[str]:
    """Linked folders inside the folder `source`: the stage enters them, but DVC does not."""
    return sorted(
        Path(folder, name).relative_to(source).as_posix()
        for folder, subfolders, _ in os.walk(source)
        for name in subfolders
        if Path(folder, name).is_symlink()
    )


def _copied_from(here: Path) -> Path | None:
    """The project whose temporary copy `here` is, for an experiment of DVC's; None when it is none."""
    parts = here.absolute().parts
    for at in range(len(parts) - 3, 0, -1):
        if parts[at : at + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:at])
    return None


def _unwatchable(source: Path) -> str | None:
    """A file in `source` on which DVC would fail without a clear message; None when there is none."""
    if source.is_file():
        return None
    unlisted: list[OSError] = []
    for folder, _, names in os.walk(source, onerror=unlisted.append):
        for name in names:
            relative = printable(Path(folder, name).relative_to(source).as_posix())
            try:
                mode = os.stat(Path(folder, name)).st_mode
            except OSError as error:
                return f"{relative} leads nowhere or cannot be read ({error.strerror})"
            if not stat.S_ISREG(mode):
                return f"{relative} is no regular file"
            if not os.access(Path(folder, name), os.R_OK):
                return f"{relative} may not be read"
            if relative != Path(folder, name).relative_to(source).as_posix():
                return f"the name {relative} is not UTF-8"
    return f"{unlisted[0].filename} may not be listed" if unlisted else None
