"""Open a network from wherever it is: an exported or imported directory, a checkpoint, or an NVIDIA pickle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sg3x.networks import Discriminator, Generator


def load_generator(path: str | Path) -> Generator:
    """The averaged generator at `path`, a `flax.nnx.Module` ready to call.

    Args:
        path: what the export stage or `sg3x import-nvidia` wrote (models/...), a training checkpoint (checkpoints/...), or an
            NVIDIA network pickle.

    Raises:
        ValueError: nothing there, damaged, or of a kind that is not known; the message says which.
    """
    kind, path = kind_of(path), Path(path)
    if kind == "checkpoint":
        from sg3x.training.run import checkpoints

        return checkpoints.load_averaged(path)[0]
    if kind == "pickle":
        from sg3x.interop.nvidia import load_pickle

        return load_pickle(path).generator_ema
    from sg3x.networks import store

    return store.load_generator(path)


def load_discriminator(path: str | Path) -> Discriminator:
    """The discriminator of a checkpoint, an imported directory or an NVIDIA pickle: a module; raises as `load_generator`."""
    kind, path = kind_of(path), Path(path)
    if kind == "checkpoint":
        from sg3x.training.run import checkpoints

        return checkpoints.load_discriminator(path)
    if kind == "pickle":
        from sg3x.interop.nvidia import load_pickle

        found = load_pickle(path).discriminator
    else:
        from sg3x.networks import store

        found = store.load_networks(path).discriminator
    if found is None:
        raise ValueError(f"{path} holds no discriminator: an exported generator has none, a checkpoint does")
    return found


def kind_of(path: str | Path) -> str:
    """'checkpoint', 'directory' (exported or imported) or 'pickle'.

    Raises:
        ValueError: nothing is there, or nothing that holds a network.
    """
    from sg3x.interop.filekind import refuse_url

    refuse_url(path)
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist: give a directory of models/, a checkpoint or an NVIDIA .pkl file")
    if path.is_file():
        return "pickle"
    if (path / "manifest.json").exists() and (path / "meta.json").exists():
        return "checkpoint"
    if (path / "config.json").exists():
        return "directory"
    raise ValueError(f"{path} holds no network: neither config.json (exported) nor meta.json (checkpoint) is there")
