"""Writes docs/fidelity.md from what the golden tests measure: `python -m tests.fidelity [RECORDS COMMIT]`. Nothing is typed.

Every `Golden.check` appends its error to the file that SG3X_FIDELITY names; this script runs the golden tests with it set,
or takes the RECORDS of tests that ran elsewhere with it, at COMMIT.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/ops", "tests/networks/test_layers.py", "tests/networks/test_generator.py",
    "tests/networks/test_discriminator.py", "tests/networks/test_golden_details.py", "tests/training/test_losses.py",
    "tests/training/test_golden_phases.py", "tests/training/test_trajectory.py", "tests/training/test_augment.py",
    "tests/training/test_augment_resample.py", "tests/metrics/motion/test_equivariance.py", "tests/interop/test_pickles.py",
)  # fmt: skip

# A topic's golden file, what it proves, and the arrays that are gradients.
TOPICS = {
    "filters": "low-pass, jinc, wavelet, blur and oriented filters",
    "upfirdn2d": "upfirdn2d, filter2d, upsample2d, downsample2d",
    "filtered_lrelu": "filtered leaky ReLU, every formulation",
    "modulated_conv2d": "modulated convolution, every formulation",
    "synthesis_input": "Fourier features and their transform",
    "mapping": "mapping network, truncation, w_avg",
    "generator_t": "whole generators T, with and without labels",
    "generator_r": "whole generators R, with and without labels",
    "discriminator": "discriminators, R1 penalty and its gradient",
    "losses": "losses, schedules, one phase of each kind",
    "trajectory": "three training iterations",
    "augment": "the augmentation pipe, each family and combined",
    "metrics": "ideal motions; EQ-T, EQ-T_frac, EQ-R in dB",
    "pickle": "NVIDIA's snapshot, opened without torch",
    "bfloat16": "bfloat16 activations against float32",
}
GRADIENTS = ("grad/", "gradnorm", "r1grad", "/dx", "/dw", "/ds", "/db", "/dz", "/d_", "dimg")


def measured() -> list[dict]:
    """Runs the tests; one record per check."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "errors.jsonl"
        environment = {**os.environ, "SG3X_FIDELITY": str(target)}
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *TESTS]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return [json.loads(line) for line in target.read_text().splitlines()]


def table(records: list[dict]) -> str:
    """One row per topic, values and gradients apart: arrays, worst error relative to the array's largest value, tolerance."""
    groups: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for record in records:
        kind = "gradients" if any(part in "/" + record["key"] for part in GRADIENTS) else "values"
        groups[record["topic"], kind].append(record)
    lines = [
        "| topic | what | arrays | checks | largest relative error | its tolerance | largest error / tolerance |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for topic, what in TOPICS.items():
        for kind in ("values", "gradients"):
            found = groups.get((topic, kind))
            if found:
                lines.append(row(topic, f"{what}: {kind}", found))
    return "\n".join(lines)


def row(topic: str, what: str, found: list[dict]) -> str:
    def relative(record: dict) -> float:
        return record["error"] / record["largest"] if record["largest"] else record["error"]

    worst = max(found, key=relative)
    tolerance = worst["atol"] / worst["largest"] if worst["largest"] else worst["atol"]
    shares = [r["error"] / r["atol"] for r in found if r["atol"]]
    arrays = len({r["key"] for r in found})
    share = f"{max(shares):.2f}" if shares else "exact"
    return f"| {topic} | {what} | {arrays} | {len(found)} | {relative(worst):.1e} | {tolerance:.1e} | {share} |"


HEADER = """# Fidelity

How far sg3x is from the reference implementation, array by array. Written by `python -m tests.fidelity` from what the
golden tests measure (float32, `Precision.HIGHEST`, CPU); do not edit.

The golden arrays in `tests/golden` were computed by NVIDIA's PyTorch code; each has its own tolerance, ten times the
rounding error of the golden value itself or more (`tests/golden/tolerances.json`). Errors are relative to the array's
largest value. A check is one comparison of one array; several formulations of an operator are checked against the same one.

"""


def commit() -> str:
    """The commit of the checkout, marked when files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    if len(sys.argv) == 3:
        records, where = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()], sys.argv[2]
    else:
        records, where = measured(), commit()
    text = HEADER + table(records) + f"\n\nMeasured at commit {where}.\n"
    (ROOT / "docs" / "fidelity.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
