"""Time the training loop waits for its next batch, against the time of a step, from an array larger than its share of memory.

The array is a file of its own; each round drops it from the page cache where the system allows, so that rows come from disk.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import keep
from sg3x.data.sampler import BatchReader, Sampler


def main(full: bool = False) -> None:
    rows, side, batch, step_s = (40000 if full else 8000), 128, 32, 0.1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(rows, side, side, 3))
        array[:] = np.arange(rows, dtype=np.uint32).astype(np.uint8)[:, None, None, None]
        array.flush()
        del array
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        reader = BatchReader(np.load(path, mmap_mode="r"), Sampler(rows, 0), batch)
        reader.read(0)
        waited, steps = 0.0, 50
        for i in range(1, steps + 1):
            time.sleep(step_s)  # the device computes
            started = time.perf_counter()
            reader.read(i * batch)
            waited += time.perf_counter() - started
        reader.close()
    share = waited / (steps * step_s)
    print(f"waiting for data, {rows} pictures of {side}x{side}, cold, batches of {batch}: {share:.2%} of a step")
    facts = {"rows": rows, "side": side, "batch": batch, "step_ms": step_s * 1e3, "steps": steps}
    keep("reading", [], waited_share=round(share, 5), **facts)
