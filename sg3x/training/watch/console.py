"""Reports of a running segment: a line in the terminal, progress.json for `sg3x runs`, and TensorBoard if asked for."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from sg3x.files.atomic import atomic_write
from sg3x.training.errors import TrainingError
from sg3x.training.watch.history import ADVICE

PHASES = ("data", "step", "checkpoint", "sampling", "quality", "log")


class Stopwatch:
    """The host's time: seconds per phase, since the last `lap`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.started = time.monotonic()

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] += time.monotonic() - started

    def lap(self) -> tuple[float, dict[str, float]]:
        """(seconds in all, share of each phase), and starts anew. What no phase claims is the step: waiting for the device."""
        now = time.monotonic()
        total, seconds = max(now - self.started, 1e-9), self.seconds
        seconds["step"] += max(total - sum(seconds.values()), 0.0)
        self.seconds, self.started = dict.fromkeys(PHASES, 0.0), now
        return total, {name: value / total for name, value in seconds.items()}


class Reporter:
    """Says how far a segment is; nothing here enters an output of the workflow."""

    def __init__(self, scratch: Path, out: Path, end_kimg: int, tensorboard: str | None = None) -> None:
        self.scratch, self.out, self.end_kimg = scratch, out, end_kimg
        self.board = _open_board(tensorboard, out) if tensorboard else None
        self.quality: dict[str, str] = {}

    def row(self, row: dict[str, str], nimg: int, images: int, seconds: float, shares: dict[str, float]) -> None:
        """A new row of the history: `images` images in `seconds`, whose shares went to the phases."""
        rate = images / seconds
        remaining = (self.end_kimg * 1000 - nimg) / max(rate, 1e-9)
        print(_line(row, self.end_kimg, rate, remaining, shares, self.quality), flush=True)
        if row["warning"]:
            print(f"warning: {row['warning']}: {ADVICE[row['warning']]}", flush=True)
        self._write({
            **row, **self.quality, "end_kimg": self.end_kimg, "images_per_s": round(rate, 2), "eta_s": round(remaining),
            "pid": os.getpid(), "out": str(self.out), "state": "training", "at": time.time(),
            "phases": {name: round(share, 4) for name, share in shares.items()},
        })  # fmt: skip
        if self.board is not None:
            for name, value in row.items():
                if value and name not in ("kimg", "warning"):
                    self.board.add_scalar(name, float(value), nimg)
            self.board.add_scalar("images_per_s", rate, nimg)

    def stage(self, state: str, kimg: float) -> None:
        """Reports the work before the first row: "compiling", "training"."""
        self._write({
            "kimg": f"{kimg:.3f}", "end_kimg": self.end_kimg, "pid": os.getpid(), "out": str(self.out), "state": state,
            "at": time.time(),
        })  # fmt: skip

    def measured(self, quality: dict[str, str], nimg: int) -> None:
        """A new score, by its name; it stays in the line until the next."""
        self.quality = quality
        if self.board is not None:
            for name, value in quality.items():
                self.board.add_scalar(name, float(value), nimg)

    def grid(self, picture: Any, nimg: int) -> None:
        """Samples uint8[H, W, 3] of the averaged generator."""
        if self.board is not None:
            self.board.add_image("samples", picture, nimg, dataformats="HWC")

    def close(self) -> None:
        if self.board is not None:
            self.board.close()

    def _write(self, found: dict[str, Any]) -> None:
        atomic_write(self.scratch / "progress.json", json.dumps(found).encode() + b"\n")


def check_board(folder: str | None) -> None:
    """Raises TrainingError when run.tensorboard asks for what is not installed."""
    if folder is not None and importlib.util.find_spec("tensorboardX") is None:
        raise TrainingError(
            "run.tensorboard is set, but tensorboardX is not installed: pip install -c constraints.txt -e '.[tensorboard]', "
            "or set run.tensorboard: null"
        )


def _open_board(folder: str, out: Path) -> Any:
    check_board(folder)
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(Path(folder) / out.name))


def _line(row: dict[str, str], end_kimg: int, rate: float, remaining: float, shares: dict[str, float],
          quality: dict[str, str]) -> str:  # fmt: skip
    scores = "".join(f"{name} {float(value):.4g}  " for name, value in quality.items())
    others = "  ".join(f"{name} {share:.0%}" for name, share in shares.items() if name != "step" and share >= 0.005)
    return (
        f"{row['kimg']:>10} / {end_kimg} kimg  {rate:7.1f} img/s  {1000 / max(rate, 1e-9):7.2f} s/kimg  "
        f"ETA {_duration(remaining)}  G {float(row['loss_g']):.3f}  D {float(row['loss_d']):.3f}  "
        f"r1 {float(row['r1_penalty'] or 'nan'):.3g}  p {float(row['ada_p']):.3f}  "
        f"sign(D(real)) {float(row['real_sign']):+.2f}  {scores}{_memory()}" + (f"  [{others}]" if others else "")
    )


def _memory() -> str:
    device = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in device:
        return f"{device['peak_bytes_in_use'] / 2**30:.2f} GiB on device"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)
    return f"{peak:.2f} GiB"


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
