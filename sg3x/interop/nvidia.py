"""NVIDIA's networks as ours: state dicts under the reference's names, and pickles of whole networks. No code is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from sg3x.interop.options import discriminator_config, generator_config
from sg3x.interop.statedict import (
    TRANSFORM,
    check_discriminator_filters,
    check_generator_filters,
    flattened,
    params_from_state_dict,
    to_our_layout,
    to_reference_layout,
)
from sg3x.networks.discriminator import init_discriminator
from sg3x.networks.generator import init_generator
from sg3x.networks.model import Discriminator, Generator

__all__ = [
    "discriminator_from_state_dict",
    "generator_from_state_dict",
    "to_our_layout",
    "to_reference_layout",
]


def generator_from_state_dict(state_dict: Mapping[str, Any], **init_kwargs: Any) -> Generator:
    """A StyleGAN3 generator from arrays under the reference's names.

    Args:
        state_dict: name -> array (numpy, jax or torch), dotted or nested: parameters and buffers. Filters are checked
            against those that the options design; the user transform is kept as the default of `synthesis`.
        init_kwargs: keyword arguments of the reference's constructor; options that are not given have its defaults.

    Raises:
        ValueError: unknown options, or arrays that do not fit them; every differing name is listed.
    """
    config = generator_config(init_kwargs)
    state = flattened(state_dict)
    params, buffers = jax.eval_shape(lambda: init_generator(jax.random.key(0), config))
    values = params_from_state_dict(state, {**params, **buffers})
    check_generator_filters(state, config)
    transform = state.get(TRANSFORM)
    if transform is not None and np.array_equal(transform, np.eye(3)):
        transform = None
    return Generator(config, {k: values[k] for k in params}, {k: values[k] for k in buffers}, transform)


def discriminator_from_state_dict(state_dict: Mapping[str, Any], **init_kwargs: Any) -> Discriminator:
    """A StyleGAN2 discriminator (architecture resnet); see `generator_from_state_dict`.

    Frozen layers (`freeze_layers`) have the same names and weights, so they need no attention here.
    """
    config = discriminator_config(init_kwargs)
    state = flattened(state_dict)
    params = jax.eval_shape(lambda: init_discriminator(jax.random.key(0), config))
    values = params_from_state_dict(state, params)
    check_discriminator_filters(state)
    return Discriminator(config, values)
