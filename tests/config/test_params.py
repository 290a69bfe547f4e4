"""params.yaml: every value checked, every mistake named."""

from pathlib import Path

import pytest

from sg3x.config import (
    ConfigError,
    declared_params,
    declared_values,
    load_params,
    parse_params,
    stage_params,
    this_segment,
)

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


@pytest.fixture()
def values():
    return load_params(ROOT / "presets" / "demo.yaml").model_dump(by_alias=True)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.stem)
def test_every_preset_is_valid_and_complete(preset, values):
    found = load_params(preset).model_dump(exclude_unset=True, by_alias=True)
    assert found.keys() == values.keys()
    for section in (k for k, v in values.items() if isinstance(v, dict) and k != "segments"):
        assert found[section].keys() == values[section].keys(), section


def test_the_default_is_the_demo():
    assert (ROOT / "params.yaml").read_text() == (ROOT / "presets" / "demo.yaml").read_text()


def test_the_hobby_ports_recipe():
    p = load_params(ROOT / "presets" / "afhqv2-cats-128.yaml")
    assert (p.generator.z_dim, p.generator.w_dim, p.generator.num_layers) == (512, 512, 11)
    assert (p.generator.channels[0], p.generator.channels[-1]) == (512, 256)
    assert (p.batch_size, p.g_lr, p.d_lr, p.r1_gamma, p.r1_interval) == (32, 0.0025, 0.002, 0.5, 16)
    assert (p.ada_target, p.ada_kimg, p.ema_decay) == (0.6, 500, 0.999)
    assert (p.prepare.max_images, p.prepare.flips, p.evaluate.num_samples) == (2000, True, 2000)


@pytest.mark.parametrize("config", "tr")
@pytest.mark.parametrize("resolution, gamma", [(128, 0.5), (256, 2), (512, 8)])
def test_nvidias_recommended_settings(config, resolution, gamma):
    p = load_params(ROOT / "presets" / f"stylegan3-{config}-{resolution}.yaml")
    assert (p.generator.config, p.resolution, p.r1_gamma, p.batch_size) == (config.upper(), resolution, gamma, 32)
    assert p.generator.num_layers == 14 and p.generator.channel_base == 32768
    assert (p.blur_init_sigma, p.blur_fade_kimg) == ((10, 200) if config == "r" else (0, 0))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"r1_gama": 1.0}, "unknown key 'r1_gama'; the nearest valid one is 'r1_gamma'"),
        ({"init": {"from": "a", "form": "b"}}, "unknown key 'init.form'; the nearest valid one is 'init.from'"),
        ({"walk": {"frame": 3}}, "unknown key 'walk.frame'; the nearest valid one is 'walk.frames'"),
        ({"batch_size": "16"}, "batch_size = '16'"),
        ({"batch_size": 6}, "multiple of discriminator.mbstd_group_size"),
        ({"deterministic": True, "batch_per_device": 4}, "has no meaning with deterministic: true"),
        ({"batch_size": True}, "batch_size = True"),
        ({"r1_gamma": -1.0}, "r1_gamma = -1.0"),
        ({"r1_gamma": float("inf")}, "r1_gamma = inf"),
        ({"resolution": 48}, "resolution = 48: input should be 16, 32"),
        ({"augment": "adaptive"}, "augment = 'adaptive'"),
        ({"segments": {"10": 0, "30": 20}}, "neither 0 nor a segment's end"),
        ({"segments": {"10": 10}, "total_kimg": 10}, "earlier"),
        ({"segments": {}}, "segments is empty"),
        ({"segments": {10: 0}}, "quote the keys"),
        ({"segments": {"ten": 0}}, "whole number of kimg"),
        *(
            ({"init": {"from": path}}, "is an output of this workflow, which would depend on itself: copy it")
            for path in ("checkpoints/2", "./checkpoints/2/", "models/generator", "checkpoints")
        ),
        ({"segments": {"12; touch pwned": 0}}, "whole number of kimg"),
        ({"segments": {"../../outside": 0}}, "whole number of kimg"),
        ({"total_kimg": "24; touch pwned"}, "total_kimg = '24; touch pwned'"),
        ({"total_kimg": 15}, "total_kimg=15 must be the end of a segment: 12, 24"),
        ({"ema_decay": 0.999}, "the other null"),
        ({"fetch": {"source": "path"}}, "fetch.path"),
        ({"generator": {"num_layers": 4, "channels": [8]}}, "channels lists 1"),
    ],
)
def test_mistakes_are_named(values, change, message):
    for key, value in change.items():
        merged = isinstance(value, dict) and key != "segments"
        values[key] = {**values[key], **value} if merged else value
    with pytest.raises(ConfigError) as caught:
        parse_params(values)
    assert message in str(caught.value)


def test_a_whole_number_is_the_same_number_with_a_point(values):
    values |= {"r1_gamma": 2, "g_lr": "auto"}
    found = parse_params(values)
    assert found.r1_gamma == 2 and type(found.r1_gamma) is float and found.g_lr == "auto"


def test_all_mistakes_are_told_at_once(values):
    values |= {"batch_size": 0, "g_lr": -1.0, "sed": 3}
    with pytest.raises(ConfigError) as caught:
        parse_params(values)
    assert len(str(caught.value).splitlines()) == 3


def test_exponents_are_numbers_as_in_dvc(tmp_path, values):
    text = (ROOT / "presets" / "demo.yaml").read_text().replace("g_lr: 0.01 ", "g_lr: 1e-2 ")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").g_lr == 0.01


@pytest.mark.parametrize("text, message", [("a: [", "not valid YAML"), ("- 1", "keys and values")])
def test_broken_files_are_explained(tmp_path, text, message):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_says_what_to_copy(tmp_path):
    with pytest.raises(ConfigError, match="presets"):
        load_params(tmp_path / "params.yaml")


def test_a_stage_reads_only_what_it_declared(values):
    params = parse_params(values)
    stage = stage_params("score", params)
    assert stage.generate.grid_rows == values["generate"]["grid_rows"]
    assert set(declared_values(params, "score")) == set(declared_params("score"))
    with pytest.raises(AttributeError, match=r"r1_gamma.*dvc\.yaml"):
        _ = stage.r1_gamma
    with pytest.raises(AttributeError, match=r"generate\.truncation_psi"):
        _ = stage.generate.truncation_psi


def test_more_frozen_layers_than_there_are_are_refused(values):
    values["init"] = {"from": "models/imported", "freeze_d": 10}  # 32x32: fromrgb and three layers of 32, 16 and 8
    assert parse_params(values).init.from_ == "models/imported"
    values["init"] = {"from": "models/imported", "freeze_d": 11}
    with pytest.raises(ConfigError, match="has 10 layers that can freeze"):
        parse_params(values)


def test_a_stage_knows_its_segment_from_dvc(values, monkeypatch):
    params = parse_params(values)
    for name in ("train@24", "../dvc.yaml:score@24"):
        monkeypatch.setenv("DVC_STAGE", name)
        assert this_segment(params) == ("12", "24")
    assert this_segment(params, "12") == ("0", "12")
    for name in ("export", "train@13", "train@24; touch pwned"):
        monkeypatch.setenv("DVC_STAGE", name)
        with pytest.raises(ConfigError, match="there are 12, 24"):
            this_segment(params)


def test_check_names_the_program_that_parameters_start(tmp_path):
    from typer.testing import CliRunner

    from sg3x.cli import app

    text = (ROOT / "presets" / "demo.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace('launcher: ""', 'launcher: "sh -c evil"'))
    done = CliRunner().invoke(app, ["check", str(tmp_path / "params.yaml")])
    assert done.exit_code == 0 and "run.launcher = 'sh -c evil'" in done.output
