"""One training segment: from a parent checkpoint to the next, resumable at any moment."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sg3x.data.sampler import BatchReader, Sampler
from sg3x.training import checkpoints
from sg3x.training.history import history_row
from sg3x.training.layout import Layout, choose_layout
from sg3x.training.lifecycle import Interrupted, StopRequest, exclusive, stop_on_signals
from sg3x.training.memory import explain_out_of_memory
from sg3x.training.problems import TrainingError, check_finite, explain_write
from sg3x.training.processes import Agreement, barrier, from_first, is_first, pack, unpack
from sg3x.training.programs import Programs, data_mesh, replicate
from sg3x.training.progress import Progress
from sg3x.training.report import Reporter, Stopwatch
from sg3x.training.schedule import Due
from sg3x.training.scratch import leftovers, remove_scratch, scratch_directory, write_identity
from sg3x.training.snapshots import Snapshots
from sg3x.training.state import State, TrainConfig, init_state, zero_statistics

__all__ = ["Segment", "TrainingError", "run_segment"]

AHEAD = 8  # steps that may be queued on the device: enough to keep it busy, few enough to keep the queue small


@dataclass(frozen=True)
class Segment:
    """What one segment is: inputs, output, where its progress lives, and how it is run."""

    # fmt: off
    parent: Path
    out: Path
    end_kimg: int
    scratch_root: Path
    log_kimg: float                         # a row of the history
    identity: dict[str, Any] = field(default_factory=dict)  # all else that decides the bytes: params, data, code
    batch_per_device: int | None = None     # decide bits, within rounding: part of the identity's params
    deterministic: bool = False
    checkpoint_minutes: float = 2.0         # what follows decides no bits
    checkpoint_kimg: float | None = None
    snapshot_kimg: float | None = None
    tensorboard: str | None = None
    # fmt: on

    def full_identity(self) -> dict[str, Any]:
        """Everything that decides the result."""
        devices = {} if self.deterministic else {"devices": jax.device_count()}
        return {
            **self.identity, "parent": checkpoints.hash_file(self.parent / "manifest.json"),
            "segment": f"{self.parent.name} to {self.end_kimg}", "jax": jax.__version__,
            "device": jax.devices()[0].device_kind, **devices,
        }  # fmt: skip

    def scratch(self) -> Path:
        """Named by everything that decides the result, so that a changed run never resumes from another's progress."""
        return scratch_directory(self.scratch_root, self.full_identity())


def run_segment(config: TrainConfig, segment: Segment, images: np.ndarray, data_fingerprint: str) -> None:
    """Trains from `segment.parent` until `end_kimg` and writes `segment.out`. In every process, if there are several.

    Raises:
        Interrupted: after a stop request; progress is saved, and the same call goes on from it.
        TrainingError: losses or gradients are not finite, or the run does not fit the machine.
        CheckpointError: the parent does not fit the configuration.
    """
    _check_images(config, images)
    expected = {"generator": config.generator.to_dict(), "discriminator": config.discriminator.to_dict()}
    meta = {**expected, "dataset_fingerprint": data_fingerprint}
    group = config.discriminator.mbstd_group_size or config.batch_size
    layout = choose_layout(
        config.batch_size, group, jax.device_count(), segment.batch_per_device, segment.deterministic
    )
    scratch = Path(from_first(lambda: _open_scratch(segment, expected, data_fingerprint)).decode())
    with stop_on_signals() as stop, exclusive(scratch) if is_first() else nullcontext():
        if is_first():
            with explain_write(scratch):
                write_identity(scratch, segment.full_identity())
        _Run(config, segment, layout, scratch, images, meta, stop).run()
        barrier("segment written")
    if is_first():
        remove_scratch(scratch)


def _open_scratch(segment: Segment, expected: dict[str, Any], data_fingerprint: str) -> bytes:
    """Checks the parent, makes the scratch directory and says what else is there: process 0 only. The path as bytes."""
    parent_meta = checkpoints.load_meta(segment.parent)
    checkpoints.check_config(segment.parent, parent_meta, expected)
    if parent_meta.get("dataset_fingerprint") not in (None, data_fingerprint):
        print("note: this segment trains on other data than its parent did", flush=True)
    identity = segment.full_identity()
    scratch = scratch_directory(segment.scratch_root, identity)
    for note in leftovers(segment.scratch_root, scratch, identity):
        print(f"note: {note}", flush=True)
    with explain_write(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
    return str(scratch).encode()


def _check_images(config: TrainConfig, images: np.ndarray) -> None:
    side, channels = config.discriminator.img_resolution, config.discriminator.img_channels
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, channels):
        raise TrainingError(
            f"the training array is {images.dtype}{list(images.shape)}, needed is uint8[N, {side}, {side}, {channels}]: "
            "run the prepare stage again (dvc repro prepare) after changing resolution"
        )


class _Run:
    """The loop with its bookkeeping."""

    def __init__(self, config: TrainConfig, segment: Segment, layout: Layout | None, scratch: Path, images: np.ndarray,
                 meta: dict[str, Any], stop: StopRequest) -> None:  # fmt: skip
        self.config, self.segment, self.layout, self.scratch = config, segment, layout, scratch
        self.images, self.meta, self.stop = images, meta, stop
        self.end = segment.end_kimg * 1000
        self.progress = Progress(scratch, meta)
        self.watch = Stopwatch()
        self.report = Reporter(scratch, segment.out, segment.end_kimg, segment.tensorboard) if is_first() else None
        self.snapshots = Snapshots(config, scratch.parent / "snapshots" / segment.out.name)

    def run(self) -> None:
        state, self.history = self._start()
        nimg, steps = int(state["nimg"]), int(state["step"])
        self._tell("compiling", nimg)
        mesh = data_mesh()
        self.programs = Programs(self.config, mesh, state, self.layout)
        self.replicated = self.programs.replicated
        if is_first():
            print(self.programs.describe(), flush=True)
        agreed = Agreement(mesh)
        barrier("compiled")
        state = replicate(state, self.replicated)
        self._tell("training", nimg)
        self.due = {
            "log": Due(self.segment.log_kimg, nimg),
            "checkpoint": Due(self.segment.checkpoint_kimg, nimg, self.segment.checkpoint_minutes),
            "snapshot": Due(self.segment.snapshot_kimg, nimg),
        }
        self.watch = Stopwatch()
        self.logged_nimg = nimg
        reader = BatchReader(
            self.images, Sampler(len(self.images), self.config.seed), self.config.batch_size, self._rows
        )
        try:
            explained = explain_out_of_memory(self.config, self.layout, mesh.size, self.programs.bytes)
            with jax.transfer_guard("disallow"), explained:
                while nimg < self.end:
                    if agreed(bool(self.stop)):
                        self._interrupt(state, nimg)
                    with self.watch("data"):
                        batch = reader.read(nimg)
                    state = self.programs(state, self.programs.place(batch), steps)
                    nimg, steps = nimg + self.config.batch_size, steps + 1
                    self.programs.keep_up(AHEAD)
                    state = self._between_steps(state, nimg)
            self._finish(state, nimg)
        finally:
            reader.close()
            self.progress.close()
            if self.report is not None:
                self.report.close()

    def _rows(self, sampler: Sampler, image_counter: int) -> np.ndarray:
        """Rows of the array that make up this process's part of a batch."""
        rows = self.programs.arrange(sampler.rows(image_counter, self.config.batch_size))
        return rows[self.programs.local_rows()]

    def _start(self) -> tuple[State, checkpoints.History]:
        """The newest whole checkpoint in scratch, else the parent; read by process 0, the same in all."""
        template = jax.eval_shape(lambda: init_state(self.config.generator, self.config.discriminator, 0))
        history: checkpoints.History = []

        def load() -> bytes:
            nonlocal history
            found = self.progress.newest(template)
            if found is not None:
                state, history = found
                print(f"resuming at {int(state['nimg']) / 1000:.3f} kimg from interrupted work", flush=True)
            else:
                state, _, history = checkpoints.load_checkpoint(self.segment.parent, template)
                print(f"starting at {int(state['nimg']) / 1000:.3f} kimg from {self.segment.parent}", flush=True)
            return pack(state)

        return unpack(from_first(load), template), history

    def _tell(self, what: str, nimg: int) -> None:
        if self.report is not None:
            with explain_write(self.scratch):
                self.report.stage(what, nimg / 1000)

    def _between_steps(self, state: State, nimg: int) -> State:
        """What is due at this image counter: a row, a checkpoint, a grid. All but the row is process 0's."""
        if self.due["log"](nimg):
            state = self._log(state, nimg)
        if not is_first():
            return state
        busy = self.progress.busy()  # raises what went wrong in the background
        if self.due["checkpoint"](nimg) and not busy:
            with self.watch("checkpoint"):
                self._save_progress(state, nimg)
        if self.due["snapshot"](nimg) and self.report is not None:
            with self.watch("sampling"), explain_write(self.snapshots.folder):
                self.report.grid(self.snapshots.take(jax.device_get(state), nimg), nimg)
        return state

    def _log(self, state: State, nimg: int) -> State:
        """One row of history and one line on the terminal; the only place where the host waits for the newest step."""
        totals, p = jax.device_get((state["statistics"], state["ada"]["p"]))
        with self.watch("log"):
            check_finite(totals, 0.0, nimg, self._last_good())
            row = history_row(totals, float(p), nimg, self.history)
            self.history.append(row)
        seconds, shares = self.watch.lap()
        if self.report is not None:
            with self.watch("log"), explain_write(self.scratch):
                self.report.row(row, nimg, nimg - self.logged_nimg, seconds, shares)
        self.logged_nimg = nimg
        return {**state, "statistics": replicate(zero_statistics(), self.replicated)}

    def _last_good(self) -> Path:
        return self.progress.last_good() or self.segment.parent

    def _on_host(self, state: State, nimg: int) -> State:
        """A copy that the next step does not touch; never of a state that is not finite."""
        host = jax.device_get(state)
        check_finite(host["statistics"], _total(host), nimg, self._last_good())
        return host

    def _save_progress(self, state: State, nimg: int, wait: bool = False) -> None:
        self.progress.save(self._on_host(state, nimg), nimg, self.history, wait)
        self.due["checkpoint"].done(nimg)
        if self.report is not None:
            self.report.saved()

    def _interrupt(self, state: State, nimg: int) -> None:
        if is_first():
            self._save_progress(state, nimg, wait=True)
        barrier("progress saved")
        raise Interrupted(
            f"stopped at {nimg / 1000:.3f} of {self.segment.end_kimg} kimg ({self.stop.reason or 'another process'}); "
            "progress is saved. Repeat the command (dvc repro) to go on from there"
        )

    def _finish(self, state: State, nimg: int) -> None:
        host = self._on_host(state, nimg)
        if not is_first():
            return
        self.progress.close()  # waits; what could not be written there is not needed any more
        with explain_write(self.segment.out, in_scratch=False):
            checkpoints.save_checkpoint(self.segment.out, host, {**self.meta, "nimg": nimg}, self.history)
        print(f"segment complete: {self.segment.out}", flush=True)


def _total(state: State) -> float:
    """Sum of all parameters in float64: finite exactly when they all are."""
    trees = [state["g"], state["d"], state["g_ema"], state["g_buffers"]]
    return float(sum(np.sum(leaf, dtype=np.float64) for leaf in jax.tree.leaves(trees)))
