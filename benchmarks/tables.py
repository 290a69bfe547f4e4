"""Writes the measured tables of docs/performance.md from benchmarks/results/*.json, between its markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- tables: python -m benchmarks.tables -->", "<!-- end of tables -->"


def table(found: dict[str, Any]) -> list[str]:
    """One interleaved run as a Markdown table; ratios are of CPU time."""
    lines = [f"**{found['title']}**", "", "| | CPU ms, median | × ours |", "|---|---|---|"]
    lines += [
        f"| {name} | {times['cpu_ms']:,.1f} | {times['cpu_over_ours']:.2f} |" for name, times in found["times"].items()
    ]
    return [*lines, ""]


def static_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| layer | formulation | pass | kernel, ms | the rest, ms | all, ms |", "|---|---|---|---|---|---|"]
    for r in rows:
        kernel = "" if r.get("kernel_ms") is None else f"{r['kernel_ms']:.2f}"
        rest = r["ms"] or 0.0
        total = rest + (r.get("kernel_ms") or 0.0)
        lines.append(f"| {r['layer']} | {r['formulation']} | {r['pass']} | {kernel} | {rest:.2f} | {total:.2f} |")
    return [*lines, ""]


def networks_table(networks: dict[str, dict[str, Any]]) -> list[str]:
    """Whole programs by the TPU's compiler: milliseconds a group of operations takes, and memory."""
    lines = [
        "| program | all, ms | kernels | convolutions | the rest | its FLOPs at the chip's peak | HBM a chip, GiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in networks.items():
        convolutions = r["groups_ms"].get("convolutions", 0.0)
        rest = r["ms"] - r["kernels_ms"] - convolutions
        limit = "" if r["limit_ms"] is None else f"{r['limit_ms']:.1f}"
        cells = f"{r['ms']:.1f} | {r['kernels_ms']:.1f} | {convolutions:.1f} | {rest:.1f} | {limit}"
        lines.append(f"| {name} | {cells} | {r['memory_bytes'] / 2**30:.2f} |")
    return [*lines, ""]


def section() -> str:
    lines: list[str] = []
    for path in sorted(RESULTS.glob("*.json")):
        found = json.loads(path.read_text())
        tables = [entry for entry in found.get("tables", []) if "times" in entry]
        rows = [entry for entry in found.get("tables", []) if "layer" in entry]
        if not tables and not rows and "waited_share" not in found:
            continue
        versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
        lines += [f"### {found['name']}", "", f"{found['cpu']}; {versions}", ""]
        for entry in tables:
            lines += table(entry)
        if rows:
            lines += static_table(rows)
        if "networks" in found:
            lines += networks_table(found["networks"])
        if "waited_share" in found:
            lines += [
                f"Waiting for data: {found['waited_share']:.2%} of {found['steps']} steps of {found['step_ms']:.0f} ms, the "
                f"longest {found['longest_wait_ms']:.1f} ms; {found['disk_bytes'] / 2**20:.0f} MiB came from the disk "
                f"for {found['needed_bytes'] / 2**20:.0f} MiB of pictures.",
                "",
            ]
    return "\n".join(lines)


def main() -> None:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{section()}{END}{after}")


if __name__ == "__main__":
    main()
