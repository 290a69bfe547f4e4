"""One training segment: from a parent checkpoint to the next, resumable at any moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sg3x.data.sampler import BatchReader, Sampler
from sg3x.training import checkpoints
from sg3x.training.execute.compiled import Step, data_mesh, replicate
from sg3x.training.execute.memory import check_memory, explain_out_of_memory
from sg3x.training.execute.microbatches import Microbatches, choose_microbatches
from sg3x.training.execute.step import compile_step
from sg3x.training.history import history_row
from sg3x.training.lifecycle import Interrupted, StopRequest, exclusive, stop_on_signals
from sg3x.training.objective.statistics import zero_statistics
from sg3x.training.problems import TrainingError, check_finite, explain_write
from sg3x.training.processes import Agreement, barrier, from_first, is_first, pack, unpack
from sg3x.training.progress import Progress
from sg3x.training.quality import Gauge, Quality
from sg3x.training.report import Reporter, Stopwatch
from sg3x.training.schedule import Interval
from sg3x.training.scratch import discard, leftovers, scratch_directory, write_identity
from sg3x.training.snapshots import Snapshots
from sg3x.training.state import State, TrainConfig, init_state

__all__ = ["Segment", "TrainingError", "run_segment"]

LIBRARIES = ("jax", "jaxlib", "optax")  # whose version may change a bit
FORMULATIONS = ("SG3X_CONV", "SG3X_FILTERED_LRELU")  # variables that choose another way to compute the same
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
    gauge: Gauge | None = None              # measures the samples while it trains; None: nobody does,
    quality: Path | None = None             #   and where the table of that goes
    when_compiled: Callable[[], object] = lambda: None  # called before the first step
    # fmt: on

    def full_identity(self) -> dict[str, Any]:
        """Everything that decides the result."""
        devices = {} if self.deterministic else {"devices": jax.device_count()}
        return {
            **self.identity, "parent": checkpoints.hash_file(self.parent / "manifest.json"),
            "segment": f"{self.parent.name} to {self.end_kimg}", "device": jax.devices()[0].device_kind, **devices,
            **{name: version(name) for name in LIBRARIES}, **{name: os.environ.get(name) for name in FORMULATIONS},
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
    microbatches = choose_microbatches(
        config.batch_size, config.group_size, jax.device_count(), segment.batch_per_device, segment.deterministic
    )
    scratch = Path(from_first(lambda: _open_scratch(segment, expected, data_fingerprint)).decode())
    with stop_on_signals() as stop, exclusive(scratch) if is_first() else nullcontext(), ExitStack() as opened:
        progress = opened.enter_context(closing(Progress(scratch, meta)))
        report: Reporter | None = None
        if is_first():
            with explain_write(scratch):
                write_identity(scratch, segment.full_identity())
            report = Reporter(scratch, segment.out, segment.end_kimg, segment.tensorboard)
            opened.enter_context(closing(report))
        _train(config, segment, microbatches, images, progress, report, stop)
        barrier("segment written")
        if is_first():
            discard(scratch)  # the sample grids stay, in `snapshots` beside it


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


def _train(config: TrainConfig, segment: Segment, microbatches: Microbatches, images: np.ndarray, progress: Progress,
           report: Reporter | None, stop: StopRequest) -> None:  # fmt: skip
    """Finds where to start, compiles everything, and trains."""
    state, history = _start(config, segment, progress)
    nimg = int(state["nimg"])
    _tell(report, "compiling", nimg)
    mesh = data_mesh()
    step = compile_step(config, mesh, state, microbatches)
    check_memory(step.bytes, config, microbatches, mesh.size)
    snapshots = None
    if report is not None:
        print(step.describe(), flush=True)
        if segment.snapshot_kimg is not None:
            snapshots = Snapshots(config, progress.scratch.parent / "snapshots" / segment.out.name, state)
    segment.when_compiled()
    agreed = Agreement(mesh)
    barrier("compiled")
    _tell(report, "training", nimg)
    run = _Run(segment, step, progress, history, report, snapshots, nimg)
    reader = BatchReader(images, Sampler(len(images), config.seed), config.batch_size, run.rows)
    explained = explain_out_of_memory(config, microbatches, mesh.size, step.bytes)
    with closing(reader), explained, jax.transfer_guard("disallow"):
        run(state, reader, lambda: (stop.reason or "another process") if agreed(bool(stop)) else None)


def _start(config: TrainConfig, segment: Segment, progress: Progress) -> tuple[State, checkpoints.History]:
    """The newest whole checkpoint in scratch, else the parent; read by process 0, the same in all."""
    template = jax.eval_shape(lambda: init_state(config.generator, config.discriminator, 0))
    history: checkpoints.History = []

    def load() -> bytes:
        nonlocal history
        found = progress.newest(template)
        if found is not None:
            state, history = found
            print(f"resuming at {int(state['nimg']) / 1000:.3f} kimg from interrupted work", flush=True)
        else:
            state, _, history = checkpoints.load_checkpoint(segment.parent, template)
            print(f"starting at {int(state['nimg']) / 1000:.3f} kimg from {segment.parent}", flush=True)
        return pack(state)

    return unpack(from_first(load), template), history


def _tell(report: Reporter | None, what: str, nimg: int) -> None:
    if report is not None:
        with explain_write(report.scratch):
            report.stage(what, nimg / 1000)


class _Run:
    """The loop with its bookkeeping, once everything is compiled. `report` and `snapshots` are process 0's."""

    def __init__(self, segment: Segment, step: Step, progress: Progress, history: checkpoints.History,
                 report: Reporter | None, snapshots: Snapshots | None, nimg: int) -> None:  # fmt: skip
        self.segment, self.step, self.progress, self.history = segment, step, progress, history
        self.report, self.snapshots, self.logged_nimg = report, snapshots, nimg
        self.batch_size = step.config.batch_size
        self.watch = Stopwatch()
        self.log_interval = Interval(segment.log_kimg, nimg)
        self.save_interval = Interval(segment.checkpoint_kimg, nimg, segment.checkpoint_minutes)
        self.snapshot_interval = Interval(segment.snapshot_kimg, nimg)
        self.quality = Quality(step.config, segment.gauge, progress.scratch, segment.batch_per_device, nimg)

    def __call__(self, state: State, reader: BatchReader, stopped: Callable[[], str | None]) -> None:
        """Trains from host state `state` on."""
        nimg, steps = int(state["nimg"]), int(state["step"])
        state = replicate(state, self.step.state_sharding)
        while nimg < self.segment.end_kimg * 1000:
            if reason := stopped():
                self._interrupt(state, nimg, reason)
            with self.watch("data"):
                batch = reader.read(nimg)
            state = self.step(state, self.step.put_batch(batch), steps)
            nimg, steps = nimg + self.batch_size, steps + 1
            self.step.wait_for_queue(AHEAD)
            state = self._between_steps(state, nimg)
        self._finish(state, nimg)

    def rows(self, sampler: Sampler, image_counter: int) -> np.ndarray:
        """Rows of the array that make up this process's part of a batch."""
        rows = self.step.microbatches.arrange(sampler.rows(image_counter, self.batch_size))
        return rows[self.step.local_index()]

    def _between_steps(self, state: State, nimg: int) -> State:
        """What is due at this image counter: a measurement, a row; a checkpoint and a grid by process 0."""
        if self.quality.due(nimg):
            self._measure(state, nimg)
        if self.log_interval.due(nimg):
            state = self._log(state, nimg)
            self.log_interval.done(nimg)
        if self.report is None:
            return state
        busy = self.progress.busy()  # raises what went wrong in the background
        if self.save_interval.due(nimg) and not busy:
            with self.watch("checkpoint"):
                self._save_progress(state, nimg)
            self.save_interval.done(nimg)
        if self.snapshots is not None and self.snapshot_interval.due(nimg):
            with self.watch("sampling"), explain_write(self.snapshots.folder):
                self.report.grid(self.snapshots.take(state, nimg), nimg)
            self.snapshot_interval.done(nimg)
        return state

    def _measure(self, state: State, nimg: int) -> None:
        check_finite(jax.device_get(state["statistics"]), 0.0, nimg, self._last_good())
        with self.watch("quality"), explain_write(self.progress.scratch):
            self.quality.measure(state, nimg)
        if self.report is not None:
            self.report.measured(self.quality.latest, nimg)

    def _log(self, state: State, nimg: int) -> State:
        """One row of history and one line on the terminal; the only place where the host waits for the newest step."""
        totals, p = jax.device_get((state["statistics"], state["ada"]["p"]))
        with self.watch("log"):
            check_finite(totals, 0.0, nimg, self._last_good())
            row = history_row(totals, float(p), nimg, self.history)
            self.history.append(row)
        seconds, shares = self.watch.lap()
        if self.report is not None:
            with self.watch("log"), explain_write(self.progress.scratch):
                self.report.row(row, nimg, nimg - self.logged_nimg, seconds, shares)
        self.logged_nimg = nimg
        return {**state, "statistics": replicate(zero_statistics(), self.step.state_sharding)}

    def _last_good(self) -> Path:
        return self.progress.last_good() or self.segment.parent

    def _on_host(self, state: State, nimg: int) -> State:
        """A copy that the next step does not touch; never of a state that is not finite."""
        host = jax.device_get(state)
        check_finite(host["statistics"], _total(host), nimg, self._last_good())
        return host

    def _save_progress(self, state: State, nimg: int, wait: bool = False) -> None:
        self.progress.save(self._on_host(state, nimg), nimg, self.history, wait)

    def _interrupt(self, state: State, nimg: int, reason: str) -> None:
        if self.report is not None:
            self._save_progress(state, nimg, wait=True)
        barrier("progress saved")
        raise Interrupted(
            f"stopped at {nimg / 1000:.3f} of {self.segment.end_kimg} kimg ({reason}); "
            "progress is saved. Repeat the command (dvc repro) to go on from there"
        )

    def _finish(self, state: State, nimg: int) -> None:
        host = self._on_host(state, nimg)
        if self.report is None:
            return
        self.progress.close()  # waits; what could not be written there is not needed any more
        if self.segment.quality is not None:
            with explain_write(self.segment.quality, in_scratch=False):
                self.quality.write(self.segment.quality)
        with explain_write(self.segment.out, in_scratch=False):
            checkpoints.save_checkpoint(self.segment.out, host, {**self.progress.meta, "nimg": nimg}, self.history)
        print(f"segment complete: {self.segment.out}", flush=True)


def _total(state: State) -> float:
    """Sum of all parameters in float64: finite exactly when they all are."""
    trees = [state["g"], state["d"], state["g_ema"], state["g_buffers"]]
    return float(sum(np.sum(leaf, dtype=np.float64) for leaf in jax.tree.leaves(trees)))
