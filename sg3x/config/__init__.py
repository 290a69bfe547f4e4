"""Typed, validated view of params.yaml."""

from sg3x.config.load import (
    STAGE_PARAMS,
    ConfigError,
    StageParams,
    load_params,
    parse_params,
    stage_params,
    this_segment,
)
from sg3x.config.sections import Params

__all__ = [
    "STAGE_PARAMS",
    "ConfigError",
    "Params",
    "StageParams",
    "load_params",
    "parse_params",
    "stage_params",
    "this_segment",
]
