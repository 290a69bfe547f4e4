"""The reference constructors' keyword arguments as our configurations. What we do not have is refused by name, not ignored."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sg3x.files.printable import printable
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

# Say how a network is computed or trained, not what it computes. Forks have some of them.
IGNORED = (
    "use_fp16", "fp16_channels_last", "class_name", "block_kwargs.fp16_channels_last", "block_kwargs.freeze_layers",
    "mapping_kwargs.w_avg_beta", "freeze_layers", "verbose",
)  # fmt: skip
# The same, of forks: named in a note.
NOTED = {
    "mapping_kwargs.freeze_layers": "layers that training leaves as they are",
    "mapping_kwargs.freeze_embed": "an embedding that training leaves as it is",
    "freeze_embed": "an embedding that training leaves as it is",
    "square": "the picture is a square",
}
# Options that change the picture in ways that we do not have -> why they are refused.
FOREIGN = {
    "square": "non-square networks are not supported",
    "init_res": "non-square networks are not supported",
    "rand_embedding": "embeddings of StyleGAN-XL are not supported",
    "cls_layers": "layers of StyleGAN-XL are not supported",
    "head_layers": "layers of StyleGAN-XL are not supported",
    "up_factor": "super-resolution stages of StyleGAN-XL are not supported",
}

_GROUPS = ("mapping_kwargs", "block_kwargs", "epilogue_kwargs", "synthesis_kwargs")


def ignored_options(init_kwargs: Mapping[str, Any]) -> list[str]:
    """A note for each option of a fork that changes nothing about the picture."""
    given = _flattened(init_kwargs)
    return [
        f"option {name}={printable(repr(given[name]), 60)} is ignored: {NOTED[name]}" for name in NOTED if name in given
    ]


def generator_config(init_kwargs: Mapping[str, Any]) -> GeneratorConfig:
    """The configuration of a StyleGAN3 generator constructed with these keyword arguments.

    Raises:
        ValueError: an option we do not know, or do not have; it is named with the nearest valid one.
    """
    options = _translated("generator", init_kwargs, GENERATOR_OPTIONS, {})
    return _made(GeneratorConfig, "generator", options, GENERATOR_OPTIONS)


def discriminator_config(init_kwargs: Mapping[str, Any]) -> DiscriminatorConfig:
    """The configuration of a StyleGAN2 discriminator; see `generator_config`."""
    options = _translated("discriminator", init_kwargs, DISCRIMINATOR_OPTIONS, DISCRIMINATOR_FIXED)
    return _made(DiscriminatorConfig, "discriminator", options, DISCRIMINATOR_OPTIONS)


def _made(kind: Any, network: str, options: dict[str, Any], names: Mapping[str, str]) -> Any:
    """The configuration; its errors name the reference's option, not our field."""
    try:
        return kind(**options)
    except ValueError as error:
        field, equals, rest = str(error).partition("=")
        theirs = next((name for name, ours in names.items() if ours == field), field)
        raise ValueError(f"{network} option {theirs}{equals}{rest}" if equals else str(error)) from None


def _translated(
    network: str, init_kwargs: Mapping[str, Any], names: Mapping[str, str], fixed: Mapping[str, Any]
) -> dict[str, Any]:
    if "img_resolution" not in init_kwargs:
        given = printable(", ".join(map(str, init_kwargs)))
        raise ValueError(f"the {network}'s options lack img_resolution: {given or 'none were given'}")
    if isinstance(size := plain(init_kwargs["img_resolution"]), list):
        raise ValueError(f"{network} option img_resolution={printable(size)}: non-square networks are not supported")
    options = {}
    for name, value in _flattened(init_kwargs).items():
        if name in names:
            options[names[name]] = plain(value)
        elif name in fixed:
            if plain(value) != fixed[name]:
                raise ValueError(f"{network} option {name}={printable(repr(value))}: only {fixed[name]!r} is supported")
        elif name in FOREIGN and not (name == "square" and plain(value) is True):
            raise ValueError(f"{network} option {name}={printable(repr(value))}: {FOREIGN[name]}")
        elif name not in IGNORED and name not in NOTED:
            known = [*names, *fixed]
            near = difflib.get_close_matches(str(name)[:100], known, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown {network} option {printable(name, 100)!r}; the nearest known one is {near!r}")
    return options


def _flattened(init_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Nested groups with dots; `synthesis_kwargs` belong to the top level, as the reference's generator passes them on."""
    flat = {}
    for name, value in init_kwargs.items():
        if name not in _GROUPS:
            flat[name] = value
        elif not isinstance(value, Mapping):
            raise ValueError(f"{name}={printable(repr(value))} must be a dict of options")
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
