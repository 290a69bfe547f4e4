"""State dicts: nested or dotted, complete or not, with options as the reference's constructor takes them."""

import numpy as np
import pytest

from sg3x.interop.nvidia import discriminator_from_state_dict, generator_from_state_dict
from sg3x.interop.options import generator_config, ignored_options
from sg3x.interop.statedict import check_generator_filters
from tests.interop.forge import nested


class EasyDict(dict):
    """Like the reference's: a dict with attributes."""

    __getattr__ = dict.__getitem__


def generator_case(golden, index=1):
    g = golden("generator_t")
    case = g.meta["cases"][index]
    skip = ("prefix", "batch", "truncation_psi", "truncation_cutoff", "act_channels")
    return g, g.group(case["prefix"] + "state/"), {k: v for k, v in case.items() if k not in skip}, case["prefix"]


def test_nested_states_and_option_groups_give_the_same_network(golden):
    g, state, options, p = generator_case(golden)
    groups = {"mapping_kwargs": EasyDict(num_layers=2, lr_multiplier=np.float64(0.01)), "num_fp16_res": 4}
    G = generator_from_state_dict(nested(state), **options, **groups)
    g.check(G(g[p + "z"], g[p + "c"]), p + "img")


def test_a_stored_user_transform_is_the_default_and_identity_is_none(golden):
    g, state, options, p = generator_case(golden)
    assert generator_from_state_dict(state, **options).synthesis.input.transform is None
    moved = {**state, "synthesis.input.transform": g[p + "user_transform"]}
    G = generator_from_state_dict(moved, **options)
    pictures = G(g[p + "z"], g[p + "c"])
    g.check(pictures[: len(g[p + "img_transformed"])], p + "img_transformed")


def test_options_of_forks_that_change_no_picture_are_ignored():
    options = {"img_resolution": 16, "square": True, "mapping_kwargs": {"freeze_layers": 2, "freeze_embed": True}}
    assert generator_config(options) == generator_config({"img_resolution": 16})
    assert [note.split("=")[0] for note in ignored_options(options)] == [
        "option mapping_kwargs.freeze_layers", "option mapping_kwargs.freeze_embed", "option square",
    ]  # fmt: skip


def test_filters_that_were_rounded_to_half_precision_are_the_designed_ones(golden):
    _, state, options, _ = generator_case(golden)
    config = generator_config(options)
    filters = {name: x for name, x in state.items() if name.endswith("_filter")}
    check_generator_filters({name: x.astype(np.float16) for name, x in filters.items()}, config)
    with pytest.raises(ValueError, match="differs by"):
        check_generator_filters({name: x * 1.01 for name, x in filters.items()}, config)


def test_every_differing_name_is_listed(golden):
    _, state, options, _ = generator_case(golden)
    broken = {**state, "extra.weight": np.zeros((2, 2), np.float32)}
    del broken["mapping.fc0.bias"]
    broken["mapping.fc1.weight"] = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError) as error:
        generator_from_state_dict(broken, **options)
    for name in ("missing mapping.fc0.bias", "unexpected extra.weight", "mapping.fc1.weight has shape (3, 3)"):
        assert name in str(error.value)


def test_filters_that_belong_to_other_options_are_named(golden):
    _, state, options, _ = generator_case(golden)
    with pytest.raises(ValueError, match=r"(?s)filters do not follow.*up_filter"):
        generator_from_state_dict(state, **{**options, "first_stopband": 5.0})


@pytest.mark.parametrize(
    "option, named",
    [
        ({"chanel_max": 4}, "'channel_max'"),
        ({"mapping_kwargs": {"layers": 2}}, "'mapping_kwargs.num_layers'"),
        ({"mapping_kwargs": 3}, "must be a dict"),
        ({"square": False}, "non-square networks"),
        ({"img_resolution": [512, 256]}, "non-square networks"),
    ],
)
def test_unknown_options_are_named_with_the_nearest(golden, option, named):
    _, state, options, _ = generator_case(golden)
    with pytest.raises(ValueError, match=named):
        generator_from_state_dict(state, **{**options, **option})


@pytest.mark.parametrize(
    "option, named",
    [
        ({"channel_base": 128.0}, "channel_base=128.0 must be a whole number"),
        ({"num_critical": -1}, "num_critical=-1 must be a whole number from 0 to 64"),
        ({"filter_size": 64}, "filter_size=64 must be a whole number from 1 to 16"),
        ({"num_layers": None}, "num_layers=None"),
        ({"output_scale": "big"}, "output_scale='big' must be a finite number"),
        ({"conv_clamp": float("inf")}, "conv_clamp=inf must be a finite number"),
        ({"use_radial_filters": 1}, "use_radial_filters=1 must be true or false"),
    ],
)
def test_options_of_another_kind_are_named(golden, option, named):
    _, state, options, _ = generator_case(golden)
    with pytest.raises(ValueError, match=named):
        generator_from_state_dict(state, **{**options, **option})


def discriminator_case(golden):
    g = golden("discriminator")
    case = g.meta["cases"][1]
    skip = ("prefix", "batches", "r1_gamma", "lazy_gain")
    return g, g.group(case["prefix"] + "state/"), {k: v for k, v in case.items() if k not in skip}, case["prefix"]


def test_discriminator_options_as_the_constructor_takes_them(golden):
    g, state, options, p = discriminator_case(golden)
    block = {"freeze_layers": 3, "resample_filter": (1, 3, 3, 1), "activation": "lrelu", "fp16_channels_last": False}
    options |= {"architecture": "resnet", "block_kwargs": EasyDict(block), "num_fp16_res": 4, "conv_clamp": 256}
    D = discriminator_from_state_dict(state, **options)
    g.check(D(g.nhwc(p + "img")[:4], g[p + "c"][:4]), p + "n4/logits")
    with pytest.raises(ValueError, match="conditional: give labels"):
        D(g.nhwc(p + "img")[:4])


@pytest.mark.parametrize("option", [{"architecture": "skip"}, {"block_kwargs": {"resample_filter": [1, 2, 1]}}])
def test_discriminators_of_another_kind_are_refused(golden, option):
    _, state, options, _ = discriminator_case(golden)
    with pytest.raises(ValueError, match="only .* is supported"):
        discriminator_from_state_dict(state, **{**options, **option})
