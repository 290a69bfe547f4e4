"""`sg3x check`: what would fail in a stage is refused before any stage runs."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sg3x.cli import app
from sg3x.files.environment import VARIABLES, environment_problems
from sg3x.files.yaml12 import parse_yaml

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
DEMO = parse_yaml((ROOT / "presets" / "demo.yaml").read_text())


def check(folder: Path, monkeypatch, *options: str, environment: dict | None = None, **change):
    values = dict(DEMO)
    for key, value in change.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) and key != "segments" else value
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    (folder / "stages").mkdir(exist_ok=True)
    (folder / "stages" / "init.py").touch()
    monkeypatch.chdir(folder)
    return CliRunner().invoke(app, ["check", *options], env=environment)


# What passes as a file of parameters and fails in a stage: change, options, what has to be said. A new one is one more line.
FAILS = [
    ({"batch_per_device": 3}, ["--devices", "1"], "batch_per_device=3 must be a multiple of"),
    ({}, ["--devices", "3"], "batch_size=8 does not divide over 3 devices"),
    ({"batch_size": 16, "batch_per_device": 12}, ["--devices", "1"], "allowed are 4, 8, 16"),
    ({"batch_size": 16, "batch_per_device": 8, "discriminator": {"mbstd_group_size": 8}}, ["--devices", "4"], None),
    ({"generator": {"channel_base": 8}}, [], "enlarge channel_base=8"),
    ({"discriminator": {"channel_base": 16}}, [], "discriminator.channel_base=16 leaves no channel at 32x32"),
    ({"fetch": {"source": "path", "path": "no/pictures"}}, [], "fetch.path='no/pictures' is not there"),
    ({"fetch": {"source": "afhqv2", "zip": "no.zip"}}, [], "fetch.zip='no.zip' is not there"),
    ({"fetch": {"count": 5}}, [], "fetch.count=5"),
    ({"prepare": {"max_images": 3}}, [], "prepare.max_images=3"),
    ({"features": {"inception_path": "no.pt"}}, [], "features.inception_path='no.pt' is not there"),
    ({"features": {"inception_path": "stages"}}, [], "features.inception_path='stages' must be a file"),
    ({"features": {"lpips_path": "vgg16.pt"}}, [], "features.lpips_path='vgg16.pt' is not there"),
    ({"init": {"from": "models/none"}}, [], "init.from='models/none' is not there"),
    ({"init": {"from": "stages"}}, [], "init.from='stages' is neither a directory of sg3x import-nvidia"),
    ({"run": {"launcher": "no-such-launcher -n 2"}}, [], "run.launcher starts with 'no-such-launcher'"),
    ({"run": {"launcher": "mpirun 'n"}}, [], "is no command line: No closing quotation"),
    ({"run": {"launcher": "''"}}, [], "names no program"),
    ({"generate": {"first_seed": 4294967290}}, [], "generate.first_seed=4294967290"),
    ({"figures": {"seeds": [0, 4294967290]}}, [], "figures.seeds"),
]


@pytest.mark.parametrize("change, options, said", FAILS, ids=[str(change) for change, *_ in FAILS])
def test_what_a_stage_would_fail_at_is_refused_with_the_key(tmp_path, monkeypatch, change, options, said):
    done = check(tmp_path, monkeypatch, *options, **change)
    if said is None:
        assert done.exit_code == 0, done.output
        return
    assert done.exit_code == 1 and said in done.output and "Traceback" not in done.output


def test_this_machines_devices_are_taken_when_none_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.device_count", lambda: 3)
    done = check(tmp_path, monkeypatch)
    assert done.exit_code == 1 and "does not divide over 3 devices" in done.output


def test_all_that_is_wrong_is_told_at_once(tmp_path, monkeypatch):
    done = check(
        tmp_path,
        monkeypatch,
        "--devices",
        "1",
        batch_per_device=3,
        run={"launcher": "no-such-launcher"},
        fetch={"count": 2},
    )
    assert len(done.output.splitlines()) == 3


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.stem)
def test_every_preset_passes(preset, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["check", str(preset), "--devices", "1"])
    assert done.exit_code == 0, done.output


# Variable -> values that are refused, and one that is not. A test holds it to the variables there are.
ENVIRONMENT = {
    "SG3X_CHECKPOINT_MINUTES": (["2m", "-1", "0", "nan", "inf", "1,5"], "0.5"),
    "SG3X_SCRATCH": (["", " ", "params.yaml", "params.yaml/below"], "scratch"),
    "SG3X_DOWNLOADS": (["", "params.yaml"], "data"),
    "SG3X_COMPILED": (["", "params.yaml"], "/tmp"),
    "SG3X_CONV": (["Lax", "fast"], "lax"),
    "SG3X_FILTERED_LRELU": (["direct"], "banded"),
    "SG3X_COMPILE_FOR": (["v5e"], "tpu"),
}


def test_every_variable_has_a_line():
    assert ENVIRONMENT.keys() == VARIABLES.keys()


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_variable_of_ours_is_refused_with_value_and_what_is_allowed(tmp_path, monkeypatch, name):
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    refused, taken = ENVIRONMENT[name]
    for value in refused:
        (line,) = environment_problems({name: value})
        assert line.startswith(f"{name}={value!r} in the environment: allowed is ")
    assert environment_problems({name: taken}) == []
    done = check(tmp_path, monkeypatch, environment={name: refused[0]})
    assert done.exit_code == 1 and f"{name}={refused[0]!r}" in done.output


def test_the_formulations_are_those_that_there_are():
    from sg3x.ops.conv2d import FORMULATIONS as convolutions
    from sg3x.ops.filtered_lrelu import FORMULATIONS as activations

    for name, known in (("SG3X_CONV", convolutions), ("SG3X_FILTERED_LRELU", activations)):
        assert environment_problems({name: "?"})[0].count(", ".join(known)) == 1


# What a user may name in place of a parameter file: how to make it below a folder, and what has to be said of it.
NO_PARAMETERS = {
    "a folder": (Path.mkdir, "cannot be read: Is a directory"),
    "nothing": (lambda path: None, "does not exist: copy one of presets/*.yaml to it"),
    "Latin-1": (lambda path: path.write_bytes(b"seed: 1\n# M\xfcller\n"), "line 2: byte 0xfc is not UTF-8"),
    "empty": (Path.touch, "must hold keys and values"),
    "binary": (lambda path: path.write_bytes(b"\x80\x04K\x01."), "is not valid YAML"),
}


@pytest.mark.parametrize("make, said", NO_PARAMETERS.values(), ids=NO_PARAMETERS)
def test_what_is_no_parameter_file_is_one_line_that_names_it(tmp_path, make, said):
    make(path := tmp_path / "mine")
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1
    assert done.output.startswith(str(path)) and said in done.output
