"""Time the training loop waits for its next batch, as a share of a step, each picture coming from the disk.

An array larger than memory differs from a smaller one in that a picture is no longer in the page cache when its turn comes.
That is what is measured: the file is written, flushed and dropped from the cache, and within one pass each row is read
once. The bytes that the system says came from the disk are kept beside the result: at least those of the rows, or the
figure is void (a file system in memory, a cache that was not dropped).
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import keep
from sg3x.data.sampler import BatchReader, Sampler

SIDE, BATCH, STEP_S = 128, 32, 0.1


def main(full: bool = False) -> None:
    rows, steps = (40000, 500) if full else (8000, 100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        _write_cold(path, rows)
        reader = BatchReader(np.load(path, mmap_mode="r"), Sampler(rows, 0), BATCH)
        before = _from_disk()
        reader.read(0)
        waits = []
        for i in range(1, steps + 1):
            time.sleep(STEP_S)  # the device computes
            started = time.perf_counter()
            reader.read(i * BATCH)
            waits.append(time.perf_counter() - started)
        disk = _from_disk() - before
        reader.close()
    needed = (steps + 1) * BATCH * SIDE * SIDE * 3
    share = sum(waits) / (steps * STEP_S)
    print(f"waiting for data, {rows} pictures of {SIDE}x{SIDE}, batches of {BATCH}: {share:.2%} of a step")
    print(f"  {disk / 2**20:.0f} MiB came from the disk for {needed / 2**20:.0f} MiB of pictures")
    facts = {"rows": rows, "side": SIDE, "batch": BATCH, "step_ms": STEP_S * 1e3, "steps": steps}
    facts |= {"needed_bytes": needed, "disk_bytes": disk, "longest_wait_ms": round(1e3 * max(waits), 3)}
    keep("reading", [], waited_share=round(share, 5), **facts)


def _write_cold(path: Path, rows: int) -> None:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(rows, SIDE, SIDE, 3))
    for start in range(0, rows, 1000):
        array[start : start + 1000] = np.arange(start, min(start + 1000, rows)).astype(np.uint8)[:, None, None, None]
    array.flush()
    del array
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _from_disk() -> int:
    """Bytes this process made the system read from storage (Linux)."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split(":")[1]) for line in lines if line.startswith("read_bytes"))
