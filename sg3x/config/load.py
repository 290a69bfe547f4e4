"""params.yaml -> validated `Params`, and the part of it that one stage declared in dvc.yaml."""

from __future__ import annotations

import difflib
import keyword
import os
from functools import reduce
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from sg3x.config.sections import Params
from sg3x.config.workflow import declared_params
from sg3x.files.yaml12 import YamlError, parse_yaml


class ConfigError(ValueError):
    """params.yaml says something that cannot be; the message names key, value and what is allowed."""


def load_params(path: str | Path = "params.yaml") -> Params:
    """Reads and validates a parameter file (YAML 1.2, as DVC reads it)."""
    path = Path(path)
    try:
        values = parse_yaml(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: copy one of presets/*.yaml to it") from None
    except OSError as error:  # a folder, say
        raise ConfigError(f"{path} cannot be read: {error.strerror}; give a parameter file, as params.yaml") from None
    except YamlError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values, as in presets/demo.yaml")
    return parse_params(values, name=path.name)


def parse_params(values: dict[str, Any], name: str = "params.yaml") -> Params:
    """Validates plain values; every problem is one line of one `ConfigError`."""
    segments = values.get("segments")
    if isinstance(segments, dict) and any(not isinstance(key, str) for key in segments):
        raise ConfigError(f"{name}: quote the keys of segments, as '100': 0 (DVC silently drops unquoted ones)")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [_explain(problem, values) for problem in error.errors()]
        raise ConfigError("\n".join(f"{name}: {line}" for line in lines)) from None


def _explain(problem: Any, values: dict[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        section: Any = Params
        for part in location[:-1]:
            section = section.model_fields[part].annotation
        known = sorted(field.alias or name for name, field in section.model_fields.items())
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.0)
        prefix = ".".join([*location[:-1], ""])
        return f"unknown key {key!r}; the nearest valid one is {prefix + near[0]!r}"
    if problem["type"] == "missing":
        return f"key {key!r} is missing"
    if problem["type"] == "value_error":
        message = str(problem["ctx"]["error"])
        return f"{key}: {message}" if key else message
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{key} = {problem['input']!r}: {message}"


class StageParams:
    """The part of params.yaml that one stage may read; anything else is an error, so that dvc.yaml cannot lie."""

    def __init__(self, params: Params, stage: str, path: str = "") -> None:
        self._params, self._stage, self._path = params, stage, path

    def __getattr__(self, name: str) -> Any:
        path = self._path + (name.removesuffix("_") if keyword.iskeyword(name.removesuffix("_")) else name)  # init.from
        declared = declared_params(self._stage)
        if path in declared:
            _trace(self._stage, path)
            return _attribute(self._params, path)
        if any(key.startswith(path + ".") for key in declared):
            return StageParams(self._params, self._stage, path + ".")
        raise AttributeError(f"stage {self._stage!r} reads {path!r} of params.yaml without declaring it in dvc.yaml")


def _attribute(params: Params, key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = getattr(value, f"{part}_" if keyword.iskeyword(part) else part)
    return value


def declared_values(params: Params, stage: str) -> dict[str, Any]:
    """Everything that `stage` declares, as plain values by dotted key: what a fingerprint is made of."""
    values = params.model_dump(by_alias=True)
    return {key: reduce(lambda found, part: found[part], key.split("."), values) for key in declared_params(stage)}


def _trace(stage: str, key: str) -> None:
    """Tests ask, by a file name in the environment, for a record of what is really read."""
    if target := os.environ.get("SG3X_TRACE_PARAMS"):
        with open(target, "a", encoding="utf-8") as file:
            file.write(f"{stage} {key}\n")


def this_segment(params: Params, end: str | None = None) -> tuple[str, str]:
    """The kimg that a segment resumes from and ends at: that of `end`, else the one that DVC names in DVC_STAGE, `train@END`.

    Raises:
        ConfigError: params.yaml has no such segment, or the stage was not started by DVC.
    """
    name = os.environ.get("DVC_STAGE", "") if end is None else end
    end = name.rpartition("@")[2]
    if end not in params.segments:
        ends = ", ".join(sorted(params.segments, key=int))
        raise ConfigError(
            f"{name!r} is no segment of params.yaml, where there are {ends}: run it by `dvc repro`, or give --to"
        )
    return str(params.segments[end]), end


def stage_params(stage: str, params: Params | None = None) -> Params:
    """The validated parameters that `stage` declares: typed as all of them, but any other is an AttributeError when read.

    Args:
        params: those to show a part of; None: params.yaml's.
    """
    return cast(Params, StageParams(load_params() if params is None else params, stage))
