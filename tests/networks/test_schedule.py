"""The layer schedule, integer for integer."""

import json
import math
from pathlib import Path

import pytest
from flax import nnx

from sg3x.networks import Generator, GeneratorConfig, definition, layer_schedule
from sg3x.networks.naming import expected

SCHEDULES = json.loads((Path(__file__).parents[1] / "golden" / "layer_schedule.json").read_text())


def config_of(name: str, **options) -> GeneratorConfig:
    make = GeneratorConfig.t if name[0] == "T" else GeneratorConfig.r
    return make(int(name[1:]), **options)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_layer_equals_the_golden_schedule(name):
    golden = SCHEDULES[name]
    config = config_of(name)
    schedule = layer_schedule(config)
    assert config.num_ws == golden["num_ws"]
    assert (config.channel_base, config.channel_max) == (golden["channel_base"], golden["channel_max"])
    spec = schedule.input
    assert [spec.channels, [spec.size] * 2, spec.sampling_rate] == [
        golden["input"][k] for k in ("channels", "size", "sampling_rate")
    ]
    assert spec.bandwidth == pytest.approx(golden["input"]["bandwidth"], rel=1e-9)
    for layer, want in zip(schedule.layers, golden["layers"], strict=True):
        assert layer.use_fp16 == want["use_fp16_default"]
        for key, value in want.items():
            if key in ("use_fp16_default", "up_filter_shape", "down_filter_shape"):
                continue
            mine = getattr(layer, key)
            if key.endswith("_size"):
                mine = [mine, mine]
            if isinstance(value, float):
                assert mine == pytest.approx(value, rel=1e-9), f"{layer.name} {key}"
            else:
                assert (list(mine) if isinstance(mine, tuple) else mine) == value, f"{layer.name} {key}"


def test_parameter_count_equals_the_golden_one():

    params = expected(definition(Generator, config_of("T128", w_dim=4)), nnx.Param)
    count = sum(math.prod(p.shape) for name, p in params.items() if name.startswith("synthesis."))
    assert count == SCHEDULES["T128"]["num_params"]


def test_explicit_channels_replace_the_formula():
    config = GeneratorConfig.t(128, num_layers=11, channels=(512,) * 8 + (376, 256, 256))
    layers = layer_schedule(config).layers
    assert [layer.out_channels for layer in layers] == [*config.channels, 3]
    assert layer_schedule(GeneratorConfig.t(128, num_layers=11)).layers[-2].out_channels == 256


@pytest.mark.parametrize(
    "options, named",
    [
        ({"img_resolution": 48}, "img_resolution=48"),
        ({"img_resolution": 32, "channels": (8, 8)}, "channels"),
        ({"img_resolution": 32, "num_critical": 14}, "num_critical"),
        ({"img_resolution": 32, "channel_base": 2}, "channel_base=2"),
        ({"img_resolution": 32, "activation_dtype": "float16"}, "activation_dtype"),
    ],
)
def test_impossible_configurations_are_refused(options, named):
    with pytest.raises(ValueError, match=named):
        layer_schedule(GeneratorConfig(**options))
