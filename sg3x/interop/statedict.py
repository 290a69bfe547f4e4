"""Arrays under the reference's names and layouts <-> our parameters. Only arrays are touched, no code is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from sg3x.networks.discriminator import BLUR
from sg3x.networks.equalized import float32
from sg3x.networks.naming import Params, differences, refuse
from sg3x.networks.schedule import GeneratorConfig, layer_schedule
from sg3x.networks.synthesis import layer_filters

# Follow from the configuration: checked against it, not kept.
FILTER_SUFFIXES = (".up_filter", ".down_filter", ".resample_filter")
TRANSFORM = "synthesis.input.transform"
_FILTER_ATOL = 1e-5
_HALF_RTOL = 2**-10  # of half precision, twice over: snapshots that were rounded to it once


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


def flattened(state_dict: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """{"mapping": {"fc0": {"weight": x}}} or {"mapping.fc0.weight": x} as the latter, values as numpy arrays."""
    flat = flatten_dict(_as_dicts(state_dict), sep=".")
    # detach: a torch tensor
    return {name: np.asarray(x.detach().cpu() if hasattr(x, "detach") else x) for name, x in flat.items()}


def _as_dicts(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Any kind of mapping, at any depth, as the dicts under text that Flax knows."""
    return {str(name): _as_dicts(x) if isinstance(x, Mapping) else x for name, x in values.items()}


def params_from_state_dict(state: Mapping[str, np.ndarray], expected: Mapping[str, jax.ShapeDtypeStruct]) -> Params:
    """Takes exactly the `expected` names and shapes of a flat dict; one error lists every name that differs."""
    skipped = (*FILTER_SUFFIXES, TRANSFORM)
    ours: dict[str, np.ndarray] = {}
    problems = []
    for name, value in state.items():
        if not name.endswith(skipped):
            try:
                ours[name] = to_our_layout(name, value)
            except ValueError:
                problems.append(f"{name} has shape {value.shape}, which cannot be a weight's")
    wanted = {name: x for name, x in expected.items() if name in ours or name not in state}
    problems += differences(ours, wanted)
    refuse(problems, "the state dict does not fit the configuration (shapes in sg3x's layout)")
    return {name: float32(ours[name]) for name in expected}


def check_generator_filters(state: Mapping[str, np.ndarray], config: GeneratorConfig) -> None:
    """Raises ValueError when a filter that came with the weights is not the one the configuration designs."""
    found = {}
    for layer in layer_schedule(config).layers:
        for kind, taps in zip(("up_filter", "down_filter"), layer_filters(layer), strict=True):
            found[f"synthesis.{layer.name}.{kind}"] = taps
    _check_filters(state, found)


def check_discriminator_filters(state: Mapping[str, np.ndarray]) -> None:
    """As `check_generator_filters`: every resampling filter is [1, 3, 3, 1]."""
    blur = np.outer(BLUR, BLUR)
    _check_filters(state, {name: blur for name in state if name.endswith(".resample_filter")})


def _check_filters(state: Mapping[str, np.ndarray], designed: Mapping[str, np.ndarray | None]) -> None:
    problems = []
    for name in sorted(name for name in state if name.endswith(FILTER_SUFFIXES)):
        taps, expected = state[name], designed.get(name)
        if expected is None or taps.shape != expected.shape:
            problems.append(f"{name} has shape {taps.shape}, expected {None if expected is None else expected.shape}")
        elif not np.allclose(taps, expected, rtol=_HALF_RTOL, atol=_FILTER_ATOL):
            problems.append(f"{name} differs by {np.abs(taps - expected).max():.3g}")
    refuse(problems, "the filters do not follow from the configuration")
