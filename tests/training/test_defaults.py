"""`auto` in params.yaml: the field's formulas, and where each value comes from."""

from types import SimpleNamespace

import pytest

from sg3x.config import ConfigError, load_params, parse_params
from sg3x.training.config import train_config
from sg3x.training.defaults import describe, resolve


def params(**changes):
    base = {"r1_gamma": "auto", "g_lr": "auto", "d_lr": "auto", "ema_kimg": "auto", "resolution": 256, "batch_size": 32}
    return SimpleNamespace(**{**base, **changes})


@pytest.mark.parametrize("resolution, batch, gamma", [(256, 32, 0.4096), (1024, 32, 6.5536), (128, 16, 0.2048)])
def test_r1_gamma_grows_with_the_pixels(resolution, batch, gamma):
    assert resolve(params(resolution=resolution, batch_size=batch)).r1_gamma.value == pytest.approx(gamma)


def test_the_others():
    found = resolve(params(batch_size=64))
    assert (found.g_lr.value, found.d_lr.value, found.ema_kimg.value) == (0.0025, 0.002, 20)


def test_what_is_given_is_used_and_said_to_be():
    found = resolve(params(r1_gamma=3.0, ema_kimg=None))
    assert found.r1_gamma == (3.0, "params.yaml") and found.ema_kimg.value is None
    text = describe(found)
    assert "3   params.yaml" in text and "StyleGAN3's generator" in text


def test_training_gets_the_numbers():
    values = load_params("presets/demo.yaml").model_dump() | {"r1_gamma": "auto", "g_lr": "auto"}
    config = train_config(parse_params(values))
    assert config.r1_gamma == pytest.approx(0.0002 * values["resolution"] ** 2 / values["batch_size"])
    assert config.g_lr == 0.0025


@pytest.mark.parametrize("key", ["r1_gamma", "g_lr", "d_lr", "ema_kimg"])
@pytest.mark.parametrize("value", ["automatic", -1.0, float("nan"), True])
def test_anything_else_is_refused_with_what_is_allowed(key, value):
    values = load_params("presets/demo.yaml").model_dump() | {key: value}
    with pytest.raises(ConfigError, match=f"{key} = .*auto or a finite number"):
        parse_params(values)
