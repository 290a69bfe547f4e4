"""NVIDIA's networks as ours: state dicts under the reference's names, and pickles of whole networks. No code is run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sg3x.files.printable import printable
from sg3x.interop.budget import UnsafePickleError
from sg3x.interop.options import discriminator_config, generator_config, ignored_options
from sg3x.interop.snapshot import NetworkState, read_snapshot
from sg3x.interop.statedict import (
    TRANSFORM,
    check_discriminator_filters,
    check_generator_filters,
    flattened,
    params_from_state_dict,
    to_our_layout,
    to_reference_layout,
)
from sg3x.networks.discriminator import Discriminator
from sg3x.networks.equalized import float32
from sg3x.networks.generator import Generator
from sg3x.networks.naming import bind, definition
from sg3x.networks.variables import Transform

_log = logging.getLogger(__name__)

__all__ = [
    "NvidiaNetworks",
    "UnsafePickleError",
    "discriminator_from_state_dict",
    "generator_from_state_dict",
    "load_pickle",
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
    defined = definition(Generator, config)
    values = params_from_state_dict(state, defined[1])
    check_generator_filters(state, config)
    generator: Generator = bind(defined, values)
    transform = state.get(TRANSFORM)
    if transform is not None and not np.array_equal(transform, np.eye(3)):
        generator.synthesis.input.transform = Transform(float32(transform.reshape(3, 3)))
    return generator


def discriminator_from_state_dict(state_dict: Mapping[str, Any], **init_kwargs: Any) -> Discriminator:
    """A StyleGAN2 discriminator (architecture resnet); see `generator_from_state_dict`.

    Frozen layers (`freeze_layers`) have the same names and weights, so they need no attention here.
    """
    config = discriminator_config(init_kwargs)
    state = flattened(state_dict)
    defined = definition(Discriminator, config)
    values = params_from_state_dict(state, defined[1])
    check_discriminator_filters(state)
    discriminator: Discriminator = bind(defined, values)
    return discriminator


@dataclass(frozen=True)
class NvidiaNetworks:
    """The networks of one file, ready to use. `generator` and `discriminator` are None when the file lacks them, or holds
    them in a form that cannot be used.

    `meta` is plain: class_name and init_kwargs of "G", "D" and "G_ema", frozen (D's frozen weights), training_set, and, if
    anything of the file was left out, notes: what and why.
    """

    generator: Generator | None  # the weights being trained
    generator_ema: Generator  # their average: the one to draw with
    discriminator: Discriminator | None
    meta: dict[str, Any]


def load_pickle(path: str | Path) -> NvidiaNetworks:
    """The networks of a StyleGAN3 snapshot (network-snapshot-*.pkl, or a published stylegan3-{t,r}-*.pkl).

    Only numpy reads the file: pickle opcodes are interpreted against a short allow-list, nothing is imported or called by
    the file's word, and memory stays within a small multiple of the file's size. See `sg3x.interop.unpickle`. What drawing does
    not need may be missing or of another kind: it is left out, with a note.

    Raises:
        UnsafePickleError: (a ValueError) the file asks for more than a network needs, is damaged, or holds another kind
            of network; the message says what was refused and where.
        ValueError: the arrays do not fit the options they were stored with.
    """
    found = read_snapshot(path)
    named = {"G": found.generator, "D": found.discriminator, "G_ema": found.generator_ema}
    opened: dict[str, Any] = {}
    notes = list(found.notes)
    for name, state in named.items():
        try:
            opened[name] = None if state is None else _network(name, state)
        except (ValueError, TypeError, ArithmeticError, MemoryError, AttributeError, LookupError) as error:
            reason = str(error) or type(error).__name__
            if name == "G_ema":
                raise UnsafePickleError(f"{path}: {name}: {reason}") from None
            opened[name] = None  # only training needs it
            notes.append(f"{name} is left out: {reason}")
        else:
            notes += [] if state is None else [f"{name}: {note}" for note in ignored_options(state.init_kwargs)]
    for note in notes:
        _log.warning("note: %s: %s", path, note)
    meta: dict[str, Any] = {
        name: {"class_name": state.class_name, "init_kwargs": state.init_kwargs}
        for name, state in named.items()
        if state is not None
    }
    meta |= {"notes": notes} if notes else {}
    meta["frozen"] = [] if found.discriminator is None else list(found.discriminator.frozen)
    meta["training_set"] = found.training_set
    return NvidiaNetworks(opened["G"], opened["G_ema"], opened["D"], meta)


def _network(name: str, state: NetworkState) -> Generator | Discriminator:
    if name == "D":
        if state.class_name != "Discriminator":
            raise ValueError(f"a {state.class_name!r} is not a discriminator of StyleGAN2")
        return discriminator_from_state_dict(state.arrays, **state.init_kwargs)
    if state.class_name != "Generator" or "synthesis.input.freqs" not in state.arrays:
        kind = "StyleGAN2" if "synthesis.b4.const" in state.arrays else repr(printable(state.class_name, 100))
        raise ValueError(f"a {kind} generator: only StyleGAN3's (configurations T and R) can be read")
    return generator_from_state_dict(state.arrays, **state.init_kwargs)
