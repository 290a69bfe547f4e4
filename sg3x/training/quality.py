"""How good the samples are while a segment trains: a table of its own, beside the history.

Watching only: the averaged weights are read, nothing of the state is written and no random number of it is drawn, so a
checkpoint is the same bytes with and without. That is why the numbers are not in its history: `run.fid_every_kimg` may be
switched on and off in the middle of a run without making any checkpoint another one.

What a distance is, this room does not know; `sg3x.metrics.during_training` does, and the stage brings the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sg3x.files.atomic import atomic_write
from sg3x.files.tables import Rows, format_tsv, parse_tsv
from sg3x.networks import mapping, synthesis
from sg3x.training.execute.whole import AXIS
from sg3x.training.processes import barrier, is_first
from sg3x.training.schedule import Interval
from sg3x.training.state import State, TrainConfig

TABLE = "quality.tsv"
EMPTY = "kimg\n"  # a table without rows, so that whoever reads it finds a header


class Gauge(Protocol):
    """What samples are measured with."""

    @property
    def column(self) -> str:
        """ "fid" or "frechet_random"."""

    @property
    def every_kimg(self) -> float:
        """How often."""

    @property
    def seeds(self) -> range:
        """Of the samples' latents."""

    @property
    def dimension(self) -> int:
        """D, the number of features."""

    def features(self, images: np.ndarray) -> np.ndarray:
        """float32[N, D] of float32[N, R, R, C], about -1..1; on this process's devices."""

    def distance(self, features: np.ndarray) -> float:
        """Of the features of all samples to those of the real pictures."""

    def facts(self) -> dict[str, str]:
        """What has to stand beside the number."""


class Quality:
    """The measurements of one segment. Every process measures; process 0 keeps the table.

    Args:
        per_device: pictures that a device draws at once; None: its share of the batch.
        nimg: the image counter where training begins, or goes on: of an interrupted run's table what was measured up to
            there is kept, the rest comes again.
    """

    def __init__(
        self, config: TrainConfig, gauge: Gauge | None, scratch: Path, per_device: int | None, nimg: int
    ) -> None:
        self.config, self.gauge, self.table = config, gauge, scratch / TABLE
        self.per_device = per_device or -(-config.batch_size // jax.device_count())
        self.interval = Interval(gauge.every_kimg if gauge else None, nimg)
        self.rows: Rows = []
        if self.table.is_file():
            self.rows = [row for row in parse_tsv(self.table.read_text("utf-8")) if float(row["kimg"]) * 1000 <= nimg]
        mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
        self._split, self._whole = (NamedSharding(mesh, spec) for spec in (PartitionSpec(AXIS), PartitionSpec()))

        def sample(g: dict[str, jax.Array], buffers: dict[str, jax.Array], z: jax.Array) -> jax.Array:
            ws, _ = mapping(g, buffers, config.generator, z)
            images, _ = synthesis(g, buffers, config.generator, ws)
            return images

        specs = (PartitionSpec(), PartitionSpec(), PartitionSpec(AXIS))
        self._sample = jax.jit(
            jax.shard_map(sample, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(AXIS), check_vma=False)
        )

    def due(self, nimg: int) -> bool:
        """Whether a multiple of `every_kimg` was passed since the last time; the same answer in every process."""
        return self.interval.due(nimg)

    @property
    def latest(self) -> dict[str, str]:
        """The newest number by its name, for the progress line; empty when none is measured."""
        if self.gauge is None or not self.rows or not self.rows[-1].get(self.gauge.column):
            return {}
        return {self.gauge.column: self.rows[-1][self.gauge.column]}

    def measure(self, state: State, nimg: int) -> None:
        """Draws the samples of the averaged generator, and adds a row."""
        assert self.gauge is not None
        self.interval.done(nimg)
        with jax.transfer_guard("allow"):
            features = self._features_of_all(self.gauge, state)
        if is_first():
            value = self.gauge.distance(features)
            self.rows.append({"kimg": f"{nimg / 1000:.3f}", self.gauge.column: f"{value:.7g}", **self.gauge.facts()})
            self.write(self.table)
        barrier("samples measured")

    def write(self, path: Path) -> None:
        """The table so far, at `path`: process 0 only."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        whole = [{name: row.get(name) or "" for name in columns} for row in self.rows]
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, (format_tsv(whole) or EMPTY).encode())

    def _features_of_all(self, gauge: Gauge, state: State) -> np.ndarray:
        """float32[N, D] of all seeds in their order, in every process; each draws its share."""
        count, processes = len(gauge.seeds), jax.process_count()
        share = -(-count // processes)
        mine = gauge.seeds[jax.process_index() * share :][:share]
        rows = [gauge.features(images) for images in self._images(state, mine)]
        found = np.concatenate([*rows, np.zeros((share - len(mine), gauge.dimension), np.float32)])
        if processes == 1:
            return found
        from jax.experimental import multihost_utils

        barrier("samples drawn")  # a collective would not wait long
        return np.asarray(multihost_utils.process_allgather(found)).reshape(-1, gauge.dimension)[:count]

    def _images(self, state: State, seeds: range) -> Iterator[np.ndarray]:
        """float32[n, R, R, C] batches, always of one shape on the devices."""
        g, buffers = (jax.tree.map(self._here, state[name]) for name in ("g_ema", "g_buffers"))
        batch = self.per_device * jax.local_device_count()
        for start in range(0, len(seeds), batch):
            chunk = seeds[start : start + batch]
            z = np.concatenate([np.random.RandomState(s).randn(1, self.config.generator.z_dim) for s in chunk])
            full = np.pad(z.astype(np.float32), [(0, batch - len(chunk)), (0, 0)], mode="edge")
            yield np.asarray(self._sample(g, buffers, jax.device_put(full, self._split)))[: len(chunk)]

    def _here(self, x: Any) -> jax.Array:
        """A value that the training devices hold, on all of this process's; copied only to those that lack it."""
        held = [shard.data for shard in x.addressable_shards]
        if len(held) < len(self._whole.device_set):
            return jax.device_put(held[0], self._whole)
        return jax.make_array_from_single_device_arrays(x.shape, self._whole, held)
