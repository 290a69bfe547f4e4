"""Typed, validated view of params.yaml."""

from sg3x.config.load import (
    ConfigError,
    declared_values,
    load_params,
    parse_params,
    stage_params,
    this_segment,
)
from sg3x.config.sections import Params
from sg3x.config.workflow import declared_code, declared_params, stages

__all__ = [
    "ConfigError",
    "Params",
    "declared_code",
    "declared_params",
    "declared_values",
    "load_params",
    "parse_params",
    "stage_params",
    "stages",
    "this_segment",
]
