"""One training segment: from a parent checkpoint to the next, resumable at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.data.sampler import BatchReader, Sampler
from sg3x.training import checkpoints, step
from sg3x.training.lifecycle import Interrupted, StopRequest, exclusive, stop_on_signals
from sg3x.training.state import R1_STATISTICS, STATISTICS, State, TrainConfig, init_state, zero_statistics

KEEP = 2  # scratch checkpoints: the newest and the one before it


class TrainingError(RuntimeError):
    """The run cannot go on; the message says where, why and what to try."""


@dataclass(frozen=True)
class Segment:
    """What one segment is: inputs, output, and where its progress lives."""

    parent: Path
    out: Path
    end_kimg: int
    scratch_root: Path
    log_kimg: float
    checkpoint_minutes: float
    identity: dict[str, Any] = field(default_factory=dict)  # all else that decides the bytes: params, data, code

    def scratch(self) -> Path:
        """Named by everything that decides the result, so that a changed run never resumes from another's progress."""
        parent = checkpoints.hash_file(self.parent / "manifest.json")
        identity = {**self.identity, "parent": parent, "end_kimg": self.end_kimg, "jax": jax.__version__,
                    "device": jax.devices()[0].device_kind}  # fmt: skip
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
        return self.scratch_root / digest[:16]


def data_mesh(batch_size: int) -> Mesh:
    """All devices along one axis; the batch is split over it."""
    devices = jax.devices()
    if batch_size % len(devices):
        raise TrainingError(
            f"batch_size={batch_size} does not divide over {len(devices)} devices: make it a multiple, "
            "or hide devices (CUDA_VISIBLE_DEVICES, JAX_NUM_CPU_DEVICES)"
        )
    return Mesh(np.array(devices), ("data",))


class Programs:
    """The phases of a step, compiled ahead of the loop; each takes over (donates) the state it is given."""

    def __init__(self, config: TrainConfig, state: State, batch: jax.ShapeDtypeStruct) -> None:
        started = time.perf_counter()
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
        shardings = jax.tree.map(lambda x: x.sharding, state)
        phases: dict[str, tuple[Callable[..., State], tuple]] = {
            "G": (step.generator_phase, ()),
            "D": (step.discriminator_phase, (batch,)),
            "R1": (step.r1_phase, (batch,)),
            "end": (step.end_phase, ()),
        }
        lowered = {
            name: jax.jit(partial(phase, config), donate_argnums=0, out_shardings=shardings).lower(shapes, *extra)
            for name, (phase, extra) in phases.items()
        }
        with ThreadPoolExecutor() as pool:  # XLA compiles outside Python's lock
            self.compiled = dict(
                zip(lowered, pool.map(lambda program: program.compile(), lowered.values()), strict=True)
            )
        self.r1_interval = config.r1_interval
        print(f"compiled in {time.perf_counter() - started:.1f} s; per device: {self.memory()}", flush=True)

    def memory(self) -> str:
        """What the compiler says each phase needs."""
        found = {name: program.memory_analysis() for name, program in self.compiled.items()}
        return ", ".join(
            f"{name} {(m.temp_size_in_bytes + m.argument_size_in_bytes) / 2**20:.0f} MiB"
            for name, m in found.items()
            if m
        )

    def __call__(self, state: State, batch: jax.Array, step_number: int) -> State:
        """One whole training step."""
        state = self.compiled["G"](state)
        state = self.compiled["D"](state, batch)
        if step_number % self.r1_interval == 0:
            state = self.compiled["R1"](state, batch)
        return self.compiled["end"](state)


def run_segment(config: TrainConfig, segment: Segment, images: np.ndarray, data_fingerprint: str) -> None:
    """Trains from `segment.parent` until `end_kimg` and writes `segment.out`.

    Raises:
        Interrupted: after a stop request; progress is saved, and the same call goes on from it.
        TrainingError: losses or gradients are not finite, or the run does not fit the machine.
        CheckpointError: the parent does not fit the configuration.
    """
    parent_meta = checkpoints.load_meta(segment.parent)
    expected = {"generator": config.generator.to_dict(), "discriminator": config.discriminator.to_dict()}
    checkpoints.check_config(segment.parent, parent_meta, expected)
    known = parent_meta.get("dataset_fingerprint")
    if known not in (None, data_fingerprint):
        print("note: this segment trains on other data than its parent did", flush=True)
    meta = {**expected, "dataset_fingerprint": data_fingerprint}
    scratch = segment.scratch()
    with stop_on_signals() as stop, exclusive(scratch):
        _Run(config, segment, scratch, images, meta, stop).run()
    shutil.rmtree(scratch, ignore_errors=True)


class _Run:
    """The loop with its bookkeeping."""

    def __init__(self, config: TrainConfig, segment: Segment, scratch: Path, images: np.ndarray,
                 meta: dict[str, Any], stop: StopRequest) -> None:  # fmt: skip
        self.config, self.segment, self.scratch = config, segment, scratch
        self.images, self.meta, self.stop = images, meta, stop
        self.end = segment.end_kimg * 1000
        self.mesh = data_mesh(config.batch_size)
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.split = NamedSharding(self.mesh, PartitionSpec("data"))

    def run(self) -> None:
        state, self.history = self._start()
        nimg, steps = int(state["nimg"]), int(state["step"])
        state = jax.device_put(state, jax.tree.map(lambda _: self.replicated, state))
        batch_shape = (self.config.batch_size, *self.images.shape[1:])
        programs = Programs(self.config, state, jax.ShapeDtypeStruct(batch_shape, np.uint8, sharding=self.split))
        reader = BatchReader(self.images, Sampler(len(self.images), self.config.seed), self.config.batch_size)
        self.saved = self.logged = time.monotonic()
        self.logged_nimg = nimg
        try:
            with jax.transfer_guard("disallow"):
                while nimg < self.end:
                    if self.stop:
                        self._interrupt(state, nimg)
                    batch = jax.device_put(reader.read(nimg), self.split)
                    state = programs(state, batch, steps)
                    before, nimg, steps = nimg, nimg + self.config.batch_size, steps + 1
                    if self._boundary(before, nimg):
                        state = self._log(state, nimg)
                    if time.monotonic() - self.saved > self.segment.checkpoint_minutes * 60:
                        self._save_progress(state, nimg)
        finally:
            reader.close()
        self._finish(state, nimg)

    def _start(self) -> tuple[State, checkpoints.History]:
        """The newest whole checkpoint in scratch, else the parent."""
        template = jax.eval_shape(lambda: init_state(self.config.generator, self.config.discriminator, 0))
        for path in sorted(self.scratch.glob("nimg-*"), reverse=True):
            try:
                state, _, history = checkpoints.load_checkpoint(path, template)
            except checkpoints.CheckpointError as error:
                print(f"warning: {error}; trying the one before it", flush=True)
                continue
            print(f"resuming at {int(state['nimg']) / 1000:.3f} kimg from interrupted work", flush=True)
            return state, history
        state, _, history = checkpoints.load_checkpoint(self.segment.parent, template)
        print(f"starting at {int(state['nimg']) / 1000:.3f} kimg from {self.segment.parent}", flush=True)
        return state, history

    def _boundary(self, before: int, nimg: int) -> bool:
        every = self.segment.log_kimg * 1000
        return int(before / every) != int(nimg / every)

    def _log(self, state: State, nimg: int) -> State:
        """One line of history and one on the terminal; the only place where the host waits for the device."""
        totals = jax.device_get(state["statistics"])
        p = float(jax.device_get(state["ada"]["p"]))
        row = self._row(totals, p, nimg)
        self.history.append(row)
        now = time.monotonic()
        rate = (nimg - self.logged_nimg) / max(now - self.logged, 1e-9)
        self.logged, self.logged_nimg = now, nimg
        self._report(row, rate, nimg)
        return {**state, "statistics": jax.device_put(zero_statistics(), self.replicated)}

    def _row(self, totals: dict[str, Any], p: float, nimg: int) -> dict[str, str]:
        self._check_finite(totals, nimg)
        steps, r1_steps = float(totals["steps"]), float(totals["r1_steps"])
        values = {name: float(totals[name]) / steps for name in STATISTICS}
        values |= {name: float(totals[name]) / r1_steps if r1_steps else float("nan") for name in R1_STATISTICS}
        cells = {name: "" if np.isnan(value) else f"{value:.6g}" for name, value in values.items()}
        return {"kimg": f"{nimg / 1000:.3f}", **cells, "ada_p": f"{p:.6g}"}

    def _check_finite(self, totals: dict[str, Any], nimg: int) -> None:
        bad = [name for name, value in totals.items() if not np.isfinite(value)]
        if bad:
            steps = int(totals["steps"])
            last = max(self.scratch.glob("nimg-*"), default=self.segment.parent)
            raise TrainingError(
                f"{', '.join(bad)} not finite within the last {steps} steps before {nimg / 1000:.3f} kimg. "
                f"Last good checkpoint: {last}. Try a larger r1_gamma, smaller g_lr and d_lr, "
                "or activation_dtype: float32"
            )

    def _report(self, row: dict[str, str], rate: float, nimg: int) -> None:
        remaining = (self.end - nimg) / max(rate, 1e-9)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)
        device = jax.local_devices()[0].memory_stats() or {}
        memory = f"{device['peak_bytes_in_use'] / 2**30:.2f} GiB on device" if device else f"{peak:.2f} GiB"
        line = (
            f"{row['kimg']:>10} / {self.segment.end_kimg} kimg  {rate:7.1f} img/s  {1000 / max(rate, 1e-9):7.2f} s/kimg  "
            f"ETA {_duration(remaining)}  G {float(row['loss_g']):.3f}  D {float(row['loss_d']):.3f}  "
            f"r1 {float(row['r1_penalty'] or 'nan'):.3g}  p {float(row['ada_p']):.3f}  "
            f"sign(D(real)) {float(row['real_sign']):+.2f}  {memory}"
        )
        print(line, flush=True)
        progress = {**row, "end_kimg": self.segment.end_kimg, "images_per_s": round(rate, 2), "pid": os.getpid(),
                    "eta_s": round(remaining), "out": str(self.segment.out)}  # fmt: skip
        part = self.scratch / "progress.json.part"
        part.write_text(json.dumps(progress) + "\n")
        os.replace(part, self.scratch / "progress.json")

    def _save(self, path: Path, state: State, nimg: int) -> None:
        state = jax.device_get(state)
        self._check_finite({**state["statistics"], "weights": _total(state)}, nimg)
        try:
            checkpoints.save_checkpoint(path, state, {**self.meta, "nimg": nimg}, self.history)
        except OSError as error:
            raise TrainingError(f"cannot write {path}: {error.strerror}. Earlier checkpoints are intact") from error

    def _save_progress(self, state: State, nimg: int) -> None:
        self._save(self.scratch / f"nimg-{nimg:012d}", state, nimg)
        for old in sorted(self.scratch.glob("nimg-*"))[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)
        self.saved = time.monotonic()

    def _interrupt(self, state: State, nimg: int) -> None:
        self._save_progress(state, nimg)
        raise Interrupted(
            f"stopped at {nimg / 1000:.3f} of {self.segment.end_kimg} kimg ({self.stop.reason}); progress is saved. "
            "Repeat the command (dvc repro) to go on from there"
        )

    def _finish(self, state: State, nimg: int) -> None:
        self._save(self.segment.out, state, nimg)
        print(f"segment complete: {self.segment.out}", flush=True)


def _total(state: State) -> float:
    """Sum of all parameters in float64: finite exactly when they all are."""
    trees = [state["g"], state["d"], state["g_ema"], state["g_buffers"]]
    return float(sum(np.sum(leaf, dtype=np.float64) for leaf in jax.tree.leaves(trees)))


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
