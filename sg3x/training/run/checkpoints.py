"""Checkpoints as directories with deterministic bytes: state by Orbax, meta.json, history.tsv, manifest.json.

A checkpoint is written beside its place and renamed when complete; the manifest holds every file's sha256, so a damaged
one is recognised before it is used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from sg3x.files.atomic import Made, atomic_folder, atomic_write
from sg3x.files.fingerprint import hash_file
from sg3x.files.tables import Rows, format_tsv, parse_tsv
from sg3x.networks import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, bind, definition
from sg3x.networks.equalized import float32
from sg3x.networks.naming import differences, refuse
from sg3x.training.run.intact import CheckpointError, check_arrays, read_object, read_text, verify
from sg3x.training.state import State, init_state

__all__ = [
    "CheckpointError", "History", "check_config", "load_averaged", "load_checkpoint", "load_discriminator", "load_meta",
    "network_configs", "save_checkpoint", "verify",
]  # fmt: skip

FORMAT = 1
# Parts of the network configurations that change neither a shape nor what a weight means.
FREE_KEYS = ("magnitude_ema_beta", "activation_dtype", "num_fp16_res", "w_avg_beta", "conv_clamp")

MADE = Made("a checkpoint", ("state/*", "meta.json", "history.tsv", "manifest.json"))  # a damaged one too
History = Rows
Config = TypeVar("Config", GeneratorConfig, DiscriminatorConfig)


def save_checkpoint(
    path: Path, state: State, meta: dict[str, Any], history: History, before: Callable[[], object] = lambda: None
) -> None:
    """Writes a complete checkpoint at `path`, replacing what was there only when it is complete.

    `before`: called before it takes its place; what it raises keeps everything as it was.
    """
    path = Path(path).absolute()
    with atomic_folder(path, MADE) as part:
        _save_state(part / "state", state)
        atomic_write(
            part / "meta.json", json.dumps({"format": FORMAT, **meta}, indent=1, sort_keys=True).encode() + b"\n"
        )
        atomic_write(part / "history.tsv", format_tsv(history).encode())
        files = sorted(p for p in part.rglob("*") if p.is_file())
        manifest = {str(p.relative_to(part)): hash_file(p) for p in files}
        atomic_write(part / "manifest.json", json.dumps(manifest, indent=0, sort_keys=True).encode() + b"\n")
        _sync(part)
        before()


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
    path = Path(path)
    try:
        there = (path / "meta.json").exists()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not there:
        raise CheckpointError(f"{path} is not a checkpoint (no meta.json): pull it (dvc pull) or run its stage")
    meta = read_object(path / "meta.json")
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}/meta.json has checkpoint format {meta.get('format')!r}, this sg3x reads {FORMAT}"
        )
    nimg = meta.get("nimg")
    if type(nimg) is not int or nimg < 0:
        raise CheckpointError(f"{path}/meta.json is damaged: nimg is {nimg!r}, allowed are whole numbers of at least 0")
    return meta


def identity(path: Path) -> str:
    """sha256 of the manifest, which holds every file's: it names the whole checkpoint."""
    try:
        return hash_file(Path(path) / "manifest.json")
    except OSError as error:
        raise CheckpointError(f"{path} is damaged: manifest.json: {error}") from None


def network_configs(path: Path, meta: dict[str, Any]) -> tuple[GeneratorConfig, DiscriminatorConfig]:
    """The networks that a checkpoint's meta.json describes, within the limits of the configurations."""
    generator = _network_config(path, meta, "generator", GeneratorConfig)
    return generator, _network_config(path, meta, "discriminator", DiscriminatorConfig)


def _network_config(path: Path, meta: dict[str, Any], name: str, kind: type[Config]) -> Config:
    values = meta.get(name)
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}/meta.json has no {name}")
    try:
        return kind.from_dict(values)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(f"{path}/meta.json has no valid {name}: {error}") from None


def load_checkpoint(path: Path, template: State | None = None) -> tuple[State, dict[str, Any], History]:
    """State (host arrays), meta and history, after checking every file against the manifest.

    `template` is the state as arrays or shapes; a saved state of other names, shapes or types is refused, not cast.
    None: the state of the networks in meta.json.

    Raises:
        CheckpointError: whatever is wrong with it; the message names the file.
    """
    path = Path(path).absolute()
    meta = load_meta(path)
    verify(path)
    if template is None:
        template = _expected_state(path, meta)
    history = _parse_history(path / "history.tsv")
    return _load_state(path, template), meta, history


def load_averaged(path: Path) -> tuple[Generator, dict[str, Any], History]:
    """The averaged generator with the training run's buffers, the checkpoint's meta and history."""
    state, meta, history = load_checkpoint(path)
    config, _ = network_configs(path, meta)
    return _bound(Generator, config, {**state["g_ema"], **state["g_buffers"]}), meta, history


def load_discriminator(path: Path) -> Discriminator:
    """The discriminator of a checkpoint."""
    state, meta, _ = load_checkpoint(path)
    found: Discriminator = _bound(Discriminator, network_configs(path, meta)[1], state["d"])
    return found


def _bound(make: Any, config: Any, arrays: dict[str, np.ndarray]) -> Any:
    return bind(definition(make, config), {name: float32(x) for name, x in arrays.items()})


def _expected_state(path: Path, meta: dict[str, Any]) -> State:
    """Shapes of the state of the networks in meta.json."""
    generator, discriminator = network_configs(path, meta)
    try:
        return jax.eval_shape(lambda: init_state(generator, discriminator, 0))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise CheckpointError(f"{path}/meta.json describes networks that cannot be: {error}") from None


def _parse_history(path: Path) -> History:
    rows = parse_tsv(read_text(path))
    for number, row in enumerate(rows, start=1):
        if any(not isinstance(cell, str) for cell in (*row.keys(), *row.values())):  # csv's way to say more or fewer
            raise CheckpointError(f"{path} is damaged: row {number} has other columns than the header")
    return rows


def check_config(path: Path, meta: dict[str, Any], expected: dict[str, dict[str, Any]]) -> None:
    """Compares the network configurations of a checkpoint or model with ours and names every key that differs."""
    problems = []
    for network, ours in expected.items():
        theirs = meta.get(network, {})
        if not isinstance(theirs, dict):
            raise CheckpointError(f"{path} does not fit params.yaml: its {network} is {theirs!r}, no configuration")
        for key in sorted((ours.keys() | theirs.keys()) - set(FREE_KEYS)):
            a, b = (list(v) if isinstance(v, tuple) else v for v in (theirs.get(key), ours.get(key)))
            if a != b:
                problems.append(f"{network}.{key}: there {a}, params.yaml {b}")
    if problems:
        raise CheckpointError(f"{path} does not fit params.yaml:\n  " + "\n  ".join(problems))


def _checkpointer() -> tuple[Any, Any]:
    for name in ("absl", "asyncio"):  # Orbax logs what it raises as well, with its tracebacks
        logging.getLogger(name).setLevel(logging.CRITICAL)
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


def _load_state(path: Path, template: State) -> State:
    """The arrays of a verified checkpoint, which has to hold those of `template` and no others."""
    from orbax.checkpoint import RestoreArgs

    folder = path / "state"
    check_arrays(folder)
    checkpointer, arguments = _checkpointer()
    with checkpointer:
        with _explain_orbax(folder):
            tree = checkpointer.metadata(folder).item_metadata.tree
        _check_fits(path, tree, template)  # before any room is made for an array
        restore_args = jax.tree.map(lambda _: RestoreArgs(restore_type=np.ndarray), tree)
        with _explain_orbax(folder):
            state = checkpointer.restore(folder, args=arguments.PyTreeRestore(restore_args=restore_args))
    _check_fits(path, state, template)
    return state


@contextlib.contextmanager
def _explain_orbax(folder: Path) -> Iterator[None]:
    """Orbax and TensorStore have errors of every class for files that are not what they wrote."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{folder} cannot be read: {said}") from error


def _check_fits(path: Path, state: State, template: State) -> None:
    def named(tree: State) -> dict[str, Any]:
        found = {}
        for where, x in jax.tree_util.tree_leaves_with_path(tree):
            name = jax.tree_util.keystr(where)
            if getattr(x, "shape", None) is None or getattr(x, "dtype", None) is None:
                raise CheckpointError(f"{path} does not fit: {name} is no array")
            found[name] = x
        return found

    refuse(differences(named(state), named(template), dtypes=True), f"{path} does not fit", CheckpointError)
