"""Gives the readers files that are damaged on purpose, and looks at what they cost and how they are refused.

    python -m benchmarks.hostile [--files 1000] [--kinds pickle,config] [--seed 0] [--work FOLDER] [--out FILE]

Every file is an honest one changed where its own structure says: opcodes moved and repeated, a leaf of its JSON
replaced, a size in its header, a key of its YAML; sometimes plain bytes. A reader gets a process of its own with 1 GB
of address space beside what its libraries take, and 10 s of processor time a file. A file counts against us when it
breaks either, or ends in an exception that is not one of the documented classes. File N of a kind depends on (seed,
kind, N) alone; a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import selectors
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.hostile_files import KINDS, honest, mutate

MEMORY, SECONDS = 2**30, 10.0  # of the processor
PATIENCE = 60.0  # seconds of the clock: other work may go on beside
ROOT = Path(__file__).parents[1]


def read(kind: str, path: Path) -> None:
    """One file by the reader of its kind."""
    if kind == "pickle":
        from sg3x.interop.nvidia import load_pickle

        load_pickle(path)
    elif kind == "torchscript":
        from sg3x.interop.torchscript import read_torchscript, tensors_of

        sum(tensor.size for _, tensor in tensors_of(read_torchscript(path)))
    elif kind in ("config", "safetensors"):
        from sg3x.networks.store import load_networks

        load_networks(path)
    elif kind == "checkpoint":
        from sg3x.loading import load_discriminator, load_generator

        load_generator(path)
        load_discriminator(path)
    elif kind == "npy":
        from sg3x.data.prepare import load_arrays

        load_arrays(path, verify=True)
    elif kind == "params":
        from sg3x.config.load import load_params

        load_params(path)
    else:
        from sg3x.data.prepare import prepare_dataset

        settings: dict[str, Any] = {"resize_filter": "lanczos", "nonsquare": "pad", "unreadable": "skip"}
        prepare_dataset(path, path / "out", resolution=16, flips=False, max_images=None, workers=1, **settings)


def worker(kind: str, warm: Path) -> None:
    """Reads paths from standard input, and answers each with a line of JSON."""
    read(kind, warm)  # libraries and compiled programs are not the files' cost
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    print(json.dumps("ready"), file=sys.__stdout__, flush=True)
    for line in sys.stdin:
        began = time.process_time()
        try:
            read(kind, Path(line.rstrip("\n")))
            answer = ("read", "")
        except (ValueError, OSError) as error:  # the documented classes, and what is below them
            answer = ("refused", f"{type(error).__name__}: {error}")
        except BaseException as error:
            answer = ("raw", f"{type(error).__name__}: {error}")
        took = time.process_time() - began
        print(json.dumps([answer[0], answer[1][:500], took]), file=sys.__stdout__, flush=True)


class Reader:
    """The process that reads files of one kind; a new one after one that was lost."""

    def __init__(self, kind: str, warm: Path) -> None:
        self.kind, self.warm = kind, warm
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.hostile", "--worker", self.kind, str(self.warm)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        if self._line(600) is None:
            raise RuntimeError(f"the reader of {self.kind} does not start: an honest file fails")

    def _line(self, seconds: float) -> str | None:
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            if not ready.select(seconds):
                return None
        return self.process.stdout.readline() or None  # type: ignore[union-attr]

    def read(self, path: Path) -> tuple[str, str, float]:
        """What became of the file ("read", "refused", "raw", "too slow", "lost"), in which words, after how many seconds."""
        began = time.monotonic()
        self.process.stdin.write(f"{path}\n")  # type: ignore[union-attr]
        line = self._line(PATIENCE)
        took = time.monotonic() - began
        if line is not None:
            what, words, seconds = json.loads(line)
            return (what if seconds < SECONDS else "too slow"), words, seconds
        kind = "lost" if took < PATIENCE else "too slow"
        self.stop()
        self.start()
        return kind, "", took

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def run(kind: str, files: int, seed: int, work: Path, log: Path) -> None:
    """Files of one kind that the log does not have yet, each written, read and removed."""
    done = {(r["kind"], r["seed"], r["number"]) for r in _rows(log)}
    left = [number for number in range(files) if (kind, seed, number) not in done]
    if not left:
        return
    warm = work / f"honest-{kind}"
    shutil.rmtree(warm, ignore_errors=True)
    warm = honest(kind, warm)
    reader = Reader(kind, warm)
    try:
        for number in left:
            rng = random.Random(f"{seed} {kind} {number}")
            path = mutate(kind, warm, work / f"file-{kind}", rng)
            what, words, took = reader.read(path)
            row = {
                "kind": kind,
                "seed": seed,
                "number": number,
                "what": what,
                "seconds": round(took, 3),
                "words": words,
            }
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    finally:
        reader.stop()


def _rows(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts by kind, the slowest file, and every file that counts against us."""
    kinds = {}
    for kind in sorted({row["kind"] for row in rows}):
        mine = [row for row in rows if row["kind"] == kind]
        counts = Counter(row["what"] for row in mine)
        kinds[kind] = {"files": len(mine), **counts, "slowest_s": max(row["seconds"] for row in mine)}
    faults = [row for row in rows if row["what"] not in ("read", "refused")]
    return {"memory_bytes": MEMORY, "seconds": SECONDS, "kinds": kinds, "faults": faults}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("scratch/hostile"), help="where files and the log lie")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/hostile.json")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker[0], Path(given.worker[1]))
        return
    work = given.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    log = work / "log.jsonl"
    for kind in given.kinds.split(","):
        run(kind, given.files, given.seed, work, log)
        found = report(_rows(log))
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(kind, json.dumps(found["kinds"][kind]), flush=True)
    sys.exit(1 if found["faults"] else 0)


if __name__ == "__main__":
    main()
