"""Kills training at random moments, goes on, and compares the final bytes with an undisturbed run.

    python -m benchmarks.soak --kills 100 [--params tests/workflow/tiny.yaml] [--seed 0]

In a copy of the project: everything before training once, one undisturbed segment, then segments that are killed again and
again until they end. Each kill draws its moment (while compiling, at any time, just when a checkpoint or a progress line is
being written), its signal (SIGKILL, SIGTERM, SIGINT) and its victim: the trainer, `dvc`, or the whole group. A kill counts
when the trainer was alive. Reports kills by kind, differences and lost segments as JSON, also when it is stopped itself
(SIGTERM, SIGINT) before it is done; exit status 1 unless both are 0 and all kills were done.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sg3x.files.fingerprint import hash_tree
from tests.workflow.project import copy_project

ROOT = Path(__file__).parents[1]
# A checkpoint every half second: most kills have one to go back to, many hit one being written.
OFTEN = {"SG3X_CHECKPOINT_MINUTES": "0.008"}
REPRO = ("dvc", "repro", "-f", "--no-run-cache", "-s")  # whatever was done before
MOMENTS = ("any time", "compiling", "saving", "logging")
VICTIMS = ("trainer", "dvc", "group")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Bench:
    """A copy of the project in which the segment 0 -> END is trained and killed."""

    def __init__(self, folder: Path, params: Path, seed: int) -> None:
        self.folder, self.dice = folder, random.Random(seed)
        self.env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        copy_project(folder, params)
        self._run("dvc", "repro", "init", "prepare")
        self.end = min(_segments(folder), key=int)
        self.out = folder / "checkpoints" / self.end
        self.train = ("python3", "-m", "stages.train", "--from", "0", "--to", self.end)
        self.typical = 0.0  # seconds a segment takes
        self.running: subprocess.Popen[Any] | None = None

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.folder, env=self.env, text=True, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def undisturbed(self) -> str:
        """The bytes to end in; twice, so that compiled programs are there when time is measured."""
        hashes = set()
        for _ in range(2):
            started = time.monotonic()
            self._run(*self.train)
            self.typical = time.monotonic() - started
            hashes.add(hash_tree(self.out))
            self._forget()
        if len(hashes) != 1:
            raise RuntimeError("two undisturbed runs differ: nothing to compare with")
        return hashes.pop()

    def _forget(self) -> None:
        """Removes the segment's output, and what scratch keeps of it: the next run would take that over."""
        shutil.rmtree(self.out)
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)

    def killed_segment(self, tally: Counter[str], deadline: float) -> tuple[str, int]:
        """Kills until the segment ends all the same: (its hash, how often). Raises when it cannot go on."""
        kills = 0
        for _ in range(200):
            calm = time.monotonic() > deadline or kills >= 20  # let it end
            done, struck = self._attempt(tally, calm)
            kills += struck
            if done:
                digest = hash_tree(self.out)
                self._forget()
                return digest, kills
        raise RuntimeError("200 attempts, and the segment has not ended")

    def _attempt(self, tally: Counter[str], calm: bool) -> tuple[bool, int]:
        """One start, and one kill unless `calm`: (whether the segment ended, whether a trainer was killed)."""
        moment, victim = self.dice.choice(MOMENTS), self.dice.choice(VICTIMS)
        # SIGINT to `dvc` alone is ignored by it until the stage ends: there is nothing to see.
        number = self.dice.choice(SIGNALS if victim != "dvc" else SIGNALS[:2])
        command = self.train if victim == "trainer" else (*REPRO, f"train@{self.end}")
        log = (self.folder.parent / "last.log").open("w+")
        process = subprocess.Popen(
            command, cwd=self.folder, env={**self.env, **OFTEN}, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self.running, struck, started = process, 0, time.monotonic()
        if not calm:
            self._wait_for(moment, process)
            alive = process.poll() is None and bool(list(self.folder.glob("scratch/*/lock")))
            if process.poll() is None:
                kill = os.killpg if victim == "group" else os.kill
                kill(process.pid, number)
            if alive:
                struck = 1
                tally[f"{moment}: {signal.Signals(number).name} to the {victim}"] += 1
        status = process.wait()
        log.close()
        self._wait_for_orphan()
        ended = (self.out / "manifest.json").is_file()
        # Nearly what a segment takes now: other work on the machine comes and goes.
        if ended and not struck and not calm:
            self.typical = min(self.typical, time.monotonic() - started)
        self._check(status, ended, struck)
        return ended, struck

    def stop(self) -> None:
        """Ends the attempt that is running, and whatever it started."""
        if self.running is not None and self.running.poll() is None:
            os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()

    def _check(self, status: int, ended: bool, struck: int) -> None:
        """A run that was not struck has to succeed; none may succeed without a checkpoint."""
        text = (self.folder.parent / "last.log").read_text()
        if status and not struck and "another trainer" not in text and "interrupted" not in text.lower():
            raise RuntimeError(f"lost: an undisturbed attempt failed with status {status}:\n{text}")
        if status == 0 and not ended:
            raise RuntimeError(f"lost: status 0 without a checkpoint:\n{text}")

    def _wait_for(self, moment: str, process: subprocess.Popen[Any]) -> None:
        deadline = time.monotonic() + 3 * self.typical
        if moment == "any time":
            deadline = time.monotonic() + self.dice.uniform(0.5, self.typical)
        signs = {
            "compiling": ("scratch/*/identity.json", lambda p: "compiling" in _text(p.parent / "progress.json")),
            "saving": ("scratch/*/.nimg-*.partial", lambda p: True),
            "logging": ("scratch/*/progress.json", lambda p: '"images_per_s"' in _text(p)),
            "any time": ("never", lambda p: False),
        }
        pattern, holds = signs[moment]
        since = time.time()
        while process.poll() is None and time.monotonic() < deadline:
            if any(_fresh(p, since) and holds(p) for p in self.folder.glob(pattern)):
                time.sleep(self.dice.uniform(0, 0.15))
                return
            time.sleep(0.003)

    def _wait_for_orphan(self) -> None:
        """After `dvc` alone was killed its trainer saves and stops by itself: never more than a minute."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            pids = [_text(p).strip() for p in self.folder.glob("scratch/*/lock")]
            if not any(pid.isdecimal() and _is_trainer(int(pid), self.folder) for pid in pids):
                return
            time.sleep(0.05)
        raise RuntimeError("lost: a trainer went on alone for a minute")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _fresh(path: Path, since: float) -> bool:
    try:
        return path.stat().st_mtime >= since
    except OSError:
        return False


def _is_trainer(pid: int, folder: Path) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return stat != "Z" and os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(folder)
    except OSError:
        return False


def _segments(folder: Path) -> dict[str, int]:
    from sg3x.config import load_params

    segments = load_params(folder / "params.yaml").segments
    return {end: start for end, start in segments.items() if start == 0}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--minutes", type=float, default=60, help="stop killing after so long")
    arguments.add_argument("--params", type=Path, default=ROOT / "benchmarks" / "soak.yaml")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as SIGINT: stop, and say what was found
    with tempfile.TemporaryDirectory(prefix="sg3x-soak-") as place:
        bench = Bench(Path(place) / "project", given.params, given.seed)
        right = bench.undisturbed()
        print(f"undisturbed: {bench.typical:.1f} s, {right[:16]}", flush=True)
        result = soak(bench, right, given.kills, given.minutes)
    print(json.dumps(result, indent=1))
    sys.exit(1 if result["differences"] or result["lost"] or result["kills"] < given.kills else 0)


def soak(bench: Bench, right: str, wanted: int, minutes: float) -> dict[str, Any]:
    """Segments until `wanted` kills are done."""
    tally: Counter[str] = Counter()
    started, segments, kills, differences, lost = time.monotonic(), 0, 0, 0, []
    while kills < wanted and time.monotonic() - started < minutes * 60:
        try:
            digest, struck = bench.killed_segment(tally, started + minutes * 60)
        except RuntimeError as error:
            lost.append(str(error))
            break
        except KeyboardInterrupt:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` sends a second one
            bench.stop()
            break
        segments, kills, differences = segments + 1, kills + struck, differences + (digest != right)
        print(f"{kills} kills, {segments} segments, {differences} differences", flush=True)
    return {
        "kills": sum(tally.values()), "segments": segments, "differences": differences, "lost": lost,
        "by_kind": dict(sorted(tally.items())), "minutes": round((time.monotonic() - started) / 60, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }  # fmt: skip


if __name__ == "__main__":
    main()
