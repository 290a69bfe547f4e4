"""State dicts under the reference implementation's names, as our networks: only arrays are touched, no code is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.networks.discriminator import DiscriminatorConfig, init_discriminator
from sg3x.networks.generator import init_generator
from sg3x.networks.layers import Params
from sg3x.networks.model import Discriminator, Generator
from sg3x.networks.schedule import GeneratorConfig

# Rebuilt from the configuration, or given per call: not part of our state.
DERIVED_SUFFIXES = (".up_filter", ".down_filter", ".resample_filter", ".transform")
UNUSED_OPTIONS = ("use_fp16", "img_channels_last")


def to_our_layout(name: str, value: np.ndarray) -> np.ndarray:
    """[out, in] -> [in, out]; [out, in, ky, kx] -> [ky, kx, in, out]; the 4x4 dense layer from C,H,W to H,W,C order."""
    value = np.asarray(value)
    if name == "b4.fc.weight":
        out, fan_in = value.shape
        return value.reshape(out, fan_in // 16, 4, 4).transpose(2, 3, 1, 0).reshape(fan_in, out)
    if name.endswith(".weight"):
        return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
    return value


def to_reference_layout(name: str, value: np.ndarray) -> np.ndarray:
    """The inverse of `to_our_layout`."""
    value = np.asarray(value)
    if name == "b4.fc.weight":
        fan_in, out = value.shape
        return value.reshape(4, 4, fan_in // 16, out).transpose(3, 2, 0, 1).reshape(out, fan_in)
    if name.endswith(".weight"):
        return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return value


def params_from_state_dict(state_dict: Mapping[str, Any], expected: Mapping[str, jax.ShapeDtypeStruct]) -> Params:
    """Takes exactly the `expected` names and shapes; a mismatch is one error that lists every differing name."""
    ours = {
        name: to_our_layout(name, value) for name, value in state_dict.items() if not name.endswith(DERIVED_SUFFIXES)
    }
    problems = [f"missing {name}" for name in sorted(expected.keys() - ours.keys())]
    problems += [f"unexpected {name}" for name in sorted(ours.keys() - expected.keys())]
    problems += [
        f"{name} has shape {ours[name].shape}, expected {expected[name].shape}"
        for name in sorted(expected.keys() & ours.keys())
        if ours[name].shape != expected[name].shape
    ]
    if problems:
        raise ValueError("the state dict does not fit the configuration:\n  " + "\n  ".join(problems))
    return {name: jnp.asarray(ours[name], jnp.float32) for name in expected}


def _options(init_kwargs: Mapping[str, Any], renames: Mapping[str, str]) -> dict[str, Any]:
    """The reference constructor's keyword arguments (nested mapping, epilogue and block options flattened) as ours."""
    options: dict[str, Any] = {}
    for name, value in init_kwargs.items():
        if name in ("mapping_kwargs", "epilogue_kwargs", "block_kwargs", "synthesis_kwargs"):
            options |= {renames.get(f"{name}.{k}", k): v for k, v in value.items()}
        elif name == "architecture":
            if value != "resnet":
                raise ValueError(f"architecture={value!r}: only 'resnet' discriminators are supported")
        elif name not in UNUSED_OPTIONS:
            options[name] = value
    return options


def generator_from_state_dict(state_dict: Mapping[str, Any], **init_kwargs: Any) -> Generator:
    """A Generator from arrays under the reference's names and the reference constructor's keyword arguments."""
    renames = {"mapping_kwargs.num_layers": "mapping_layers", "mapping_kwargs.lr_multiplier": "mapping_lr_multiplier"}
    config = GeneratorConfig(**_options(init_kwargs, renames))
    params, buffers = jax.eval_shape(lambda: init_generator(jax.random.key(0), config))
    values = params_from_state_dict(state_dict, {**params, **buffers})
    return Generator(config, {k: values[k] for k in params}, {k: values[k] for k in buffers})


def discriminator_from_state_dict(state_dict: Mapping[str, Any], **init_kwargs: Any) -> Discriminator:
    """A Discriminator from arrays under the reference's names and the reference constructor's keyword arguments."""
    renames = {"mapping_kwargs.num_layers": "mapping_layers"}
    options = _options(init_kwargs, renames)
    options.pop("freeze_layers", None)  # frozen layers store the same weights, as buffers
    config = DiscriminatorConfig(**options)
    params = jax.eval_shape(lambda: init_discriminator(jax.random.key(0), config))
    return Discriminator(config, params_from_state_dict(state_dict, params))
