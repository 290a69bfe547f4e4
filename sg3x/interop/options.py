"""The reference constructors' keyword arguments as our configurations. What we do not have is refused by name, not ignored."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sg3x.networks.discriminator import DiscriminatorConfig
from sg3x.networks.schedule import GeneratorConfig

# Reference option -> our field. Nested groups are flattened with dots.
GENERATOR_OPTIONS = {
    **{
        name: name
        for name in (
            "z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "channel_base", "channel_max", "num_layers",
            "num_critical", "first_cutoff", "first_stopband", "last_stopband_rel", "margin_size", "output_scale",
            "num_fp16_res", "conv_kernel", "filter_size", "lrelu_upsampling", "use_radial_filters", "conv_clamp",
            "magnitude_ema_beta", "channels", "activation_dtype",
        )
    },
    "mapping_kwargs.num_layers": "mapping_layers",
    "mapping_kwargs.lr_multiplier": "mapping_lr_multiplier",
    "mapping_kwargs.w_avg_beta": "w_avg_beta",
}  # fmt: skip
DISCRIMINATOR_OPTIONS = {
    **{
        name: name
        for name in (
            "c_dim", "img_resolution", "img_channels", "channel_base", "channel_max", "num_fp16_res", "conv_clamp",
            "cmap_dim", "activation_dtype",
        )
    },
    "mapping_kwargs.num_layers": "mapping_layers",
    "mapping_kwargs.lr_multiplier": "mapping_lr_multiplier",
    "epilogue_kwargs.mbstd_group_size": "mbstd_group_size",
    "epilogue_kwargs.mbstd_num_channels": "mbstd_num_channels",
}  # fmt: skip

# Options that may be given as long as they say what our networks do.
DISCRIMINATOR_FIXED: dict[str, Any] = {
    "architecture": "resnet",
    "block_kwargs.activation": "lrelu",
    "block_kwargs.resample_filter": [1, 3, 3, 1],
    "mapping_kwargs.activation": "lrelu",
    "mapping_kwargs.embed_features": None,
    "mapping_kwargs.layer_features": None,
    "epilogue_kwargs.activation": "lrelu",
}

# Say how a network is computed or trained, not what it computes.
IGNORED = (
    "use_fp16", "fp16_channels_last", "class_name", "block_kwargs.fp16_channels_last", "block_kwargs.freeze_layers",
    "mapping_kwargs.w_avg_beta", "freeze_layers",
)  # fmt: skip

# What numbers may be: larger ones are no network's, and would only fill the memory.
LIMITS = {
    "z_dim": 65536, "c_dim": 65536, "w_dim": 65536, "img_resolution": 4096, "img_channels": 1024, "num_layers": 64,
    "mapping_layers": 64, "margin_size": 256, "conv_kernel": 15, "filter_size": 16, "lrelu_upsampling": 4,
    "channel_base": 2**24, "channel_max": 65536, "cmap_dim": 65536, "mbstd_num_channels": 1024,
    "mbstd_group_size": 65536, "num_critical": 64, "num_fp16_res": 64,
}  # fmt: skip
MAY_BE_NONE = ("cmap_dim", "mbstd_group_size", "conv_clamp")
NUMBERS = (
    "first_cutoff", "first_stopband", "last_stopband_rel", "output_scale", "conv_clamp", "magnitude_ema_beta", "w_avg_beta",
    "mapping_lr_multiplier",
)  # fmt: skip
FLAGS = ("use_radial_filters",)

_GROUPS = ("mapping_kwargs", "block_kwargs", "epilogue_kwargs", "synthesis_kwargs")


def generator_config(init_kwargs: Mapping[str, Any]) -> GeneratorConfig:
    """The configuration of a StyleGAN3 generator constructed with these keyword arguments.

    Raises:
        ValueError: an option we do not know, or do not have; it is named with the nearest valid one.
    """
    return GeneratorConfig(**_translated("generator", init_kwargs, GENERATOR_OPTIONS, {}))


def discriminator_config(init_kwargs: Mapping[str, Any]) -> DiscriminatorConfig:
    """The configuration of a StyleGAN2 discriminator; see `generator_config`."""
    return DiscriminatorConfig(**_translated("discriminator", init_kwargs, DISCRIMINATOR_OPTIONS, DISCRIMINATOR_FIXED))


def _translated(
    network: str, init_kwargs: Mapping[str, Any], names: Mapping[str, str], fixed: Mapping[str, Any]
) -> dict[str, Any]:
    if "img_resolution" not in init_kwargs:
        raise ValueError(f"the {network}'s options lack img_resolution: {', '.join(init_kwargs) or 'none were given'}")
    options = {}
    for name, value in _flattened(init_kwargs).items():
        if name in names:
            options[names[name]] = _checked(network, name, names[name], plain(value))
        elif name in fixed:
            if plain(value) != fixed[name]:
                raise ValueError(f"{network} option {name}={value!r}: only {fixed[name]!r} is supported")
        elif name not in IGNORED:
            known = [*names, *fixed]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown {network} option {name!r}; the nearest known one is {near!r}")
    return options


def _checked(network: str, name: str, field: str, value: Any) -> Any:
    """`value`, if a network can have it."""
    said = f"{network} option {name}={value!r} must be"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None and field in MAY_BE_NONE:
        return None
    if field in LIMITS and not (number and isinstance(value, int) and 0 <= value <= LIMITS[field]):
        raise ValueError(f"{said} a whole number from 0 to {LIMITS[field]}")
    if field in NUMBERS and not (number and np.isfinite(value)):
        raise ValueError(f"{said} a finite number")
    if field in FLAGS and not isinstance(value, bool):
        raise ValueError(f"{said} true or false")
    return value


def _flattened(init_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Nested groups with dots; `synthesis_kwargs` belong to the top level, as the reference's generator passes them on."""
    flat = {}
    for name, value in init_kwargs.items():
        if name not in _GROUPS:
            flat[name] = value
        elif not isinstance(value, Mapping):
            raise ValueError(f"{name}={value!r} must be a dict of options")
        else:
            flat |= {k if name == "synthesis_kwargs" else f"{name}.{k}": v for k, v in value.items()}
    return flat


def plain(value: Any) -> Any:
    """numpy scalars as Python's, tuples as lists: what compares and serialises alike."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value
