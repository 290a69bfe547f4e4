"""`sg3x preflight`: does it fit, what will it cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sg3x.commands.errors import one_line_errors

CAVEAT = (
    "a sum of the compiler's static estimates, operation after operation; nothing was run, waiting for memory, data and "
    "other hosts is not in it"
)


def preflight(
    preset: Annotated[str | None, typer.Option(help="name of a file in presets/; none: params.yaml")] = None,
    target: Annotated[str, typer.Option(help="local, or a TPU slice such as v5e:2x4 (no TPU needed)")] = "local",
    what: Annotated[str, typer.Option(help="step, or a part: generator, discriminator, augmentation")] = "step",
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Compiles a training step ahead of time: memory, FLOPs, and for a TPU an estimate of its speed. Takes minutes."""
    from sg3x.config import load_params
    from sg3x.preflight.target import find_target, prepare_environment

    with one_line_errors():
        params = load_params(Path("presets") / f"{preset}.yaml" if preset else Path("params.yaml"))
        prepare_environment(target)
        report = _report(params, find_target(target), what, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        _print(report)


def _report(params: Any, target: Any, what: str, quiet: bool) -> dict[str, Any]:
    from sg3x.preflight.compile import compile_programs
    from sg3x.preflight.kernels import price_kernels
    from sg3x.preflight.report import read_program
    from sg3x.training.config import train_config
    from sg3x.training.memory import device_limit

    config = train_config(params)
    compiled, took = compile_programs(config, target, what, params.batch_per_device, params.deterministic)
    if not quiet:
        typer.echo(f"compiled in {took:.0f} s", err=True)
    texts = [program.as_text() for program in compiled.values()]
    kernels = price_kernels(texts, target.name) if target.chip is not None else {}
    phases = [read_program(name, program, kernels) for name, program in compiled.items()]
    needed = max(phase.memory_bytes for phase in phases)
    available = device_limit() if target.chip is None else int(target.chip.memory)
    report: dict[str, Any] = {
        "target": target.name,
        "devices": len(target.devices),
        "what": what,
        "batch_size": config.batch_size,
        "fits": None if available is None else needed <= available,
        "memory_bytes": needed,
        "available_bytes": available,
        "phases": [phase.to_dict() for phase in phases],
    }
    if target.chip is not None:
        report |= _priced(phases, target.chip, config) | {"caveat": CAVEAT}
    return report


def _priced(phases: list[Any], chip: Any, config: Any) -> dict[str, Any]:
    cycles = {phase.name: phase.cycles or 0 for phase in phases}
    found: dict[str, Any] = {"milliseconds": {}, "limit_milliseconds": {}}
    for phase in phases:
        found["milliseconds"][phase.name] = round(cycles[phase.name] / chip.clock * 1e3, 2)
        found["limit_milliseconds"][phase.name] = round((phase.flops or 0) / chip.peak * 1e3, 2)
    step = None
    if "G" in cycles:  # `deterministic` runs many small programs, in turns: no sum of theirs is a step
        step = cycles["G"] + cycles["D"] + cycles["R1"] / config.r1_interval + cycles["end"]
        found["step_milliseconds"] = round(step / chip.clock * 1e3, 2)
    images = step or cycles.get("forward")
    if images:  # of a step: trained; of the generator: drawn
        found["images_per_s"] = round(config.batch_size / (images / chip.clock), 1)
    return found


def _print(report: dict[str, Any]) -> None:
    typer.echo(f"{report['what']} for {report['target']}, {report['devices']} devices, batch {report['batch_size']}")
    for phase in report["phases"]:
        name, cycles = phase["name"], phase["cycles"]
        flops = "?" if phase["flops"] is None else f"{phase['flops'] / 1e9:,.2f}"
        line = f"{name:>20}: {phase['memory_bytes'] / 2**20:,.1f} MiB a device, {flops} GFLOP"
        if cycles is not None:
            ms, limit = report["milliseconds"][name], report["limit_milliseconds"][name]
            line += f", about {ms} ms (its FLOPs alone at the chip's peak: {limit} ms)"
        typer.echo(line)
        for group, spent in phase["groups"].items():
            typer.echo(f"{'':>22}{spent / max(cycles, 1):6.1%}  {group}")
        if phase["unpriced"]:
            typer.echo(f"{'':>22}and, without an estimate: {', '.join(phase['unpriced'])}")
        if phase["loops"]:
            typer.echo(f"{'':>22}{phase['loops']} loops in it are counted for one round each")
        for operation in phase["largest"]:
            cycles = operation["cycles"]
            size = f"{operation['bytes'] / 2**20:>10,.1f} MiB   " if cycles is None else f"{cycles:>10,} cycles"
            typer.echo(f"{'':>24}{size}  {operation['shape'][:48]:48}  {operation['source']}")
    _print_verdict(report)


def _print_verdict(report: dict[str, Any]) -> None:
    needed = f"{report['memory_bytes'] / 2**30:.2f}"
    if report["available_bytes"] is None:
        typer.echo(f"needs {needed} GiB a device; how much it has is not known")
    else:
        fits = "fits" if report["fits"] else "DOES NOT FIT"
        typer.echo(f"{fits}: {needed} of {report['available_bytes'] / 2**30:.0f} GiB a device")
    if "milliseconds" not in report:
        typer.echo(f"compilers for {report['target']} estimate no time: FLOPs and memory are all there is")
    if "images_per_s" in report:
        step = f"about {report['step_milliseconds']} ms a step, " if "step_milliseconds" in report else ""
        typer.echo(f"{step}{report['images_per_s']} images/s: {report['caveat']}")
