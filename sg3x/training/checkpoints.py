"""Checkpoints as directories with deterministic bytes: state by Orbax, meta.json, history.tsv, manifest.json.

A checkpoint is written beside its place and renamed when complete; the manifest holds every file's sha256, so a damaged
one is recognised before it is used.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sg3x.files.atomic import atomic_folder, atomic_write
from sg3x.files.fingerprint import hash_file
from sg3x.files.tables import Rows, format_tsv, parse_tsv
from sg3x.networks import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, bind, definition
from sg3x.networks.equalized import float32
from sg3x.networks.naming import differences, refuse
from sg3x.training.state import State

FORMAT = 1
# Parts of the network configurations that change neither a shape nor what a weight means.
FREE_KEYS = ("magnitude_ema_beta", "activation_dtype", "num_fp16_res", "w_avg_beta", "conv_clamp")

History = Rows


class CheckpointError(ValueError):
    """A checkpoint that is damaged, missing or does not fit; the message names what differs."""


def save_checkpoint(path: Path, state: State, meta: dict[str, Any], history: History) -> None:
    """Writes a complete checkpoint at `path`, replacing what was there only when it is complete."""
    path = Path(path).absolute()
    with atomic_folder(path) as part:
        _save_state(part / "state", state)
        atomic_write(
            part / "meta.json", json.dumps({"format": FORMAT, **meta}, indent=1, sort_keys=True).encode() + b"\n"
        )
        atomic_write(part / "history.tsv", format_tsv(history).encode())
        files = sorted(p for p in part.rglob("*") if p.is_file())
        manifest = {str(p.relative_to(part)): hash_file(p) for p in files}
        atomic_write(part / "manifest.json", json.dumps(manifest, indent=0, sort_keys=True).encode() + b"\n")
        _sync(part)


def _sync(folder: Path) -> None:
    """Waits until all of `folder` is on the disk, so that a power cut after the rename finds it whole."""
    for place in [*folder.rglob("*"), folder]:
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load_meta(path: Path) -> dict[str, Any]:
    """meta.json of a checkpoint: format, nimg, network configurations, dataset fingerprint."""
    try:
        meta = json.loads((Path(path) / "meta.json").read_text())
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is not a checkpoint (no meta.json): pull it (dvc pull) or run its stage"
        ) from None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}/meta.json is damaged: {error}") from None
    if meta.get("format") != FORMAT:
        raise CheckpointError(f"{path} has checkpoint format {meta.get('format')}, this sg3x reads {FORMAT}")
    return meta


def load_checkpoint(path: Path, template: State | None = None) -> tuple[State, dict[str, Any], History]:
    """State (host arrays), meta and history, after checking every file against the manifest.

    `template` is the state as arrays or shapes; a saved state of other names, shapes or types is refused, not cast.
    """
    path = Path(path).absolute()
    meta = load_meta(path)
    verify(path)
    state = _load_state(path / "state")
    if template is not None:
        _check_fits(path, state, template)
    return state, meta, parse_tsv((path / "history.tsv").read_text())


def load_averaged(path: Path) -> tuple[Generator, dict[str, Any], History]:
    """The averaged generator with the training run's buffers, the checkpoint's meta and history."""
    state, meta, history = load_checkpoint(path)
    config = GeneratorConfig.from_dict(meta["generator"])
    return _bound(path, Generator, config, {**state["g_ema"], **state["g_buffers"]}), meta, history


def load_discriminator(path: Path) -> Discriminator:
    """The discriminator of a checkpoint."""
    state, meta, _ = load_checkpoint(path)
    found: Discriminator = _bound(path, Discriminator, DiscriminatorConfig.from_dict(meta["discriminator"]), state["d"])
    return found


def _bound(path: Path, make: Any, config: Any, arrays: dict[str, np.ndarray]) -> Any:
    defined = definition(make, config)
    refuse(differences(arrays, defined[1]), f"{path}: arrays and meta.json do not belong together", CheckpointError)
    return bind(defined, {name: float32(x) for name, x in arrays.items()})


def verify(path: Path) -> None:
    """Raises CheckpointError unless all files are there with the bytes that were written."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged: manifest.json: {error}") from None
    for name, digest in manifest.items():
        if not (path / name).is_file():
            raise CheckpointError(f"{path} is damaged: {name} is missing")
        if hash_file(path / name) != digest:
            raise CheckpointError(f"{path} is damaged: {name} is not the file that was written")


def check_config(path: Path, meta: dict[str, Any], expected: dict[str, dict[str, Any]]) -> None:
    """Compares the network configurations of a checkpoint or model with ours and names every key that differs."""
    problems = []
    for network, ours in expected.items():
        theirs = meta.get(network, {})
        for key in sorted((ours.keys() | theirs.keys()) - set(FREE_KEYS)):
            a, b = (list(v) if isinstance(v, tuple) else v for v in (theirs.get(key), ours.get(key)))
            if a != b:
                problems.append(f"{network}.{key}: there {a}, params.yaml {b}")
    refuse(problems, f"{path} does not fit params.yaml", CheckpointError)


def _checkpointer() -> tuple[Any, Any]:
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns of a merge that this layout does not need
    import orbax.checkpoint as ocp

    # OCDBT, the default layout, has random file names; this one is the same bytes every time.
    # Process 0 alone reads and writes, whole arrays: nothing to wait for the others for.
    alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone), ocp.args


def _save_state(path: Path, state: State) -> None:
    checkpointer, arguments = _checkpointer()
    # Host arrays: the files then say nothing of how many devices held the state.
    host = jax.tree.map(lambda x: np.asarray(x), state)
    with checkpointer:
        checkpointer.save(path, args=arguments.PyTreeSave(host))
    times = path / "_CHECKPOINT_METADATA"
    values = json.loads(times.read_text())
    values |= {key: 0 for key in values if key.endswith("timestamp_nsecs")}
    atomic_write(times, json.dumps(values).encode())
    success = path / "commit_success.txt"
    if success.exists():
        atomic_write(success, b"Checkpoint commit was successful\n")


def _load_state(path: Path) -> State:
    from orbax.checkpoint import RestoreArgs

    checkpointer, arguments = _checkpointer()
    with checkpointer:
        tree = checkpointer.metadata(path).item_metadata.tree
        restore_args = jax.tree.map(lambda _: RestoreArgs(restore_type=np.ndarray), tree)
        return checkpointer.restore(path, args=arguments.PyTreeRestore(restore_args=restore_args))


def _check_fits(path: Path, state: State, template: State) -> None:
    def named(tree: State) -> dict[str, Any]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {jax.tree_util.keystr(where): x for where, x in leaves}

    refuse(differences(named(state), named(template), dtypes=True), f"{path} does not fit", CheckpointError)
