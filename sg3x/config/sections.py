"""Every key of params.yaml with its type, range and default. Frozen; unknown keys are refused."""

from __future__ import annotations

import math
import posixpath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from sg3x.config.seeds import check_seeds

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Auto = Literal["auto"]  # by a formula: sg3x.training.defaults


def _number_or_auto(least: float, allowed: str) -> Any:
    """A number that is at least `least` and not infinite, or "auto"; one message for both."""

    def check(value: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if value != "auto" and not (number and value >= least):
            raise PydanticCustomError("number_or_auto", f"Input should be auto or a finite number {allowed}")
        return value if value == "auto" else float(value)

    return PlainValidator(check)


PositiveOrAuto = Annotated[float | Auto, _number_or_auto(math.ulp(0.0), "greater than 0")]
NonNegativeOrAuto = Annotated[float | Auto, _number_or_auto(0.0, "of at least 0")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Section(BaseModel):
    """Strict: no coercion ("1" is not 1), no unknown keys, no change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Fetch(Section):
    """The source of the raw pictures."""

    source: Literal["toycats", "afhqv2", "path"]
    picture_class: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "cat"
    # source: toycats
    count: PositiveInt = 2000
    size: Annotated[int, Field(ge=16, le=1024)] = 512
    seed: Seed = 0
    # source: afhqv2
    url: str | None = None
    zip: str | None = None
    sha256: Sha256 | None = None
    # source: path
    path: str | None = None
    max_gb: PositiveFloat | None = None  # of pictures in a zip; None: what is usual for its size

    @model_validator(mode="after")
    def _source_is_complete(self) -> Fetch:
        if self.source == "path" and not self.path:
            raise ValueError("source 'path' needs fetch.path: your folder or zip of pictures")
        if self.source == "afhqv2" and not (self.url or self.zip):
            raise ValueError("source 'afhqv2' needs fetch.url (the official zip) or fetch.zip (your copy of it)")
        return self


class Prepare(Section):
    """The way from raw pictures to the training array."""

    filter: Literal["lanczos", "area"] = "lanczos"
    nonsquare: Literal["crop", "pad"] = "crop"
    unreadable: Literal["error", "skip"] = "error"
    flips: bool = True
    max_images: PositiveInt | None = None


class GeneratorSection(Section):
    """Shape of the generator; the picture's resolution and the activations' precision are top-level keys."""

    config: Literal["T", "R"] = "T"
    z_dim: PositiveInt = 512
    w_dim: PositiveInt = 512
    mapping_layers: Annotated[int, Field(ge=1, le=16)] = 2
    num_layers: Annotated[int, Field(ge=2, le=32)] = 14
    num_critical: Annotated[int, Field(ge=0)] = 2
    channel_base: PositiveInt = 32768
    channel_max: PositiveInt = 512
    channels: list[PositiveInt] | None = None
    margin_size: Annotated[int, Field(ge=0, le=64)] = 10
    magnitude_ema_kimg: PositiveFloat = 20.0

    @model_validator(mode="after")
    def _layers_fit(self) -> GeneratorSection:
        if self.num_critical >= self.num_layers:
            raise ValueError(f"num_critical={self.num_critical} must be less than num_layers={self.num_layers}")
        if self.channels is not None and len(self.channels) != self.num_layers:
            raise ValueError(f"channels lists {len(self.channels)} layers, num_layers is {self.num_layers}")
        return self


class DiscriminatorSection(Section):
    """Shape of the discriminator."""

    channel_base: PositiveInt = 32768
    channel_max: PositiveInt = 512
    mbstd_group_size: PositiveInt = 4


RANDOM_WEIGHTS = "stages/init.py"  # the script that draws them; a path, as DVC wants one to depend on


class Init(Section):
    """The start of training."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)  # `from` is a word of Python's

    from_: Annotated[str, Field(alias="from", min_length=1)]
    freeze_d: Annotated[int, Field(ge=0)] = 0


class Generate(Section):
    """Sample pictures of the final model."""

    num_samples: PositiveInt = 64
    first_seed: Seed = 0
    truncation_psi: NonNegative = 1.0
    truncation_cutoff: Annotated[int, Field(ge=0)] | None = None
    format: Literal["png", "npy"] = "png"
    grid_columns: PositiveInt = 8
    grid_rows: PositiveInt = 4
    grid_size: Annotated[int, Field(ge=16, le=1024)] | None = None
    batch_size: PositiveInt = 32


class Features(Section):
    """The feature extractor behind the scores: Inception when its file can be had, else fixed random features."""

    inception_path: str | None = None
    inception_url: str | None = None
    inception_sha256: Sha256 | None = None
    lpips_path: str | None = None


class Evaluate(Section):
    """Scores of every segment and of the final model."""

    num_samples: Annotated[int, Field(ge=4)] = 2000
    first_seed: Seed = 0
    batch_size: PositiveInt = 32
    equivariance_samples: PositiveInt = 256
    path_samples: PositiveInt = 256


class Walk(Section):
    """The latent walk."""

    seeds: Annotated[list[Seed], Field(min_length=2)] = [0, 1, 2, 3]
    frames: Annotated[int, Field(ge=2)] = 120
    fps: Annotated[int, Field(ge=1, le=60)] = 24
    truncation_psi: NonNegative = 0.7
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    strip_frames: PositiveInt = 8
    batch_size: PositiveInt = 16


class Figures(Section):
    """Sheets and films that show what the final model has learnt."""

    seeds: Annotated[list[Seed], Field(min_length=2, max_length=12)] = [0, 1, 2, 3, 4, 5]
    truncation_psi: NonNegative = 0.7
    frames: Annotated[int, Field(ge=2)] = 72
    fps: Annotated[int, Field(ge=1, le=60)] = 24
    size: Annotated[int, Field(ge=16, le=512)] = 128
    batch_size: PositiveInt = 16


class Run(Section):
    """Settings of running and watching, never of what is learned: outside dvc.yaml's params and a run's fingerprint."""

    launcher: str = ""
    checkpoint_minutes: PositiveFloat = 2.0
    checkpoint_kimg: PositiveFloat | None = None
    snapshot_kimg: PositiveFloat | None = None
    fid_every_kimg: PositiveFloat | None = None
    fid_samples: Annotated[int, Field(ge=2)] = 2000
    tensorboard: str | None = None


class Params(Section):
    """All of params.yaml."""

    seed: Seed = 0
    resolution: Literal[16, 32, 64, 128, 256, 512, 1024]
    fetch: Fetch
    prepare: Prepare
    generator: GeneratorSection
    discriminator: DiscriminatorSection
    init: Init
    activation_dtype: Literal["float32", "bfloat16"] = "float32"
    # Training.
    batch_size: PositiveInt
    batch_per_device: PositiveInt | None = None
    remat: Literal["none", "layers"] = "none"
    deterministic: bool = False
    g_lr: PositiveOrAuto = 0.0025
    d_lr: PositiveOrAuto = 0.002
    r1_gamma: NonNegativeOrAuto
    r1_interval: PositiveInt = 16
    augment: Literal[
        "none", "blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"
    ]
    ada_target: Annotated[float, Field(ge=-1, le=1)] = 0.6
    ada_kimg: PositiveFloat = 500.0
    ada_interval: PositiveInt = 4
    ema_kimg: PositiveOrAuto | None = 10.0
    ema_rampup: PositiveFloat | None = 0.05
    ema_decay: Annotated[float, Field(ge=0, lt=1)] | None = None
    blur_init_sigma: NonNegative = 0.0
    blur_fade_kimg: NonNegative = 0.0
    log_kimg: PositiveFloat = 1.0
    segments: dict[str, Annotated[int, Field(ge=0)]]
    total_kimg: PositiveInt
    run: Run = Run()
    # After training.
    generate: Generate
    features: Features
    evaluate: Evaluate
    walk: Walk
    figures: Figures

    @model_validator(mode="after")
    def _segments_chain(self) -> Params:
        check_segments(self.segments, self.total_kimg)
        return self

    @model_validator(mode="after")
    def _starts_outside(self) -> Params:
        start = posixpath.normpath(self.init.from_)
        for output in (
            "checkpoints",
            "models/generator",
            "data/raw",
            "data/arrays",
            "data/reference",
            "samples",
            "results",
        ):
            if start == output or start.startswith(output + "/"):
                raise ValueError(
                    f"init.from={self.init.from_!r} is an output of this workflow, which would depend on itself: copy it, as "
                    f"`cp -r {start} models/start`, and set init.from: models/start"
                )
        return self

    @model_validator(mode="after")
    def _seeds_exist(self) -> Params:
        check_seeds(self)
        return self

    @model_validator(mode="after")
    def _batch_splits(self) -> Params:
        group = self.discriminator.mbstd_group_size
        if self.batch_size % min(group, self.batch_size):
            raise ValueError(
                f"batch_size={self.batch_size} must be a multiple of discriminator.mbstd_group_size={group}"
            )
        if self.deterministic and self.batch_per_device is not None:
            raise ValueError(
                f"batch_per_device={self.batch_per_device} has no meaning with deterministic: true, which computes {group} "
                "pictures (discriminator.mbstd_group_size) at a time already; set batch_per_device: null"
            )
        return self

    @model_validator(mode="after")
    def _layers_to_freeze(self) -> Params:
        layers = (
            3 * (self.resolution.bit_length() - 3) + 1
        )  # fromrgb, and conv0, conv1, skip of every block down to 8x8
        if self.init.freeze_d > layers:
            raise ValueError(
                f"init.freeze_d={self.init.freeze_d}: the discriminator has {layers} layers that can freeze"
            )
        return self

    @model_validator(mode="after")
    def _one_average(self) -> Params:
        if (self.ema_kimg is None) == (self.ema_decay is None):
            raise ValueError(
                "give either ema_kimg (half-life, with ema_rampup) or ema_decay (constant), the other null"
            )
        return self


def check_segments(segments: dict[str, int], total_kimg: int) -> None:
    """Every segment resumes from 0 or from the end of another, strictly earlier one; total_kimg is one of the ends."""
    if not segments:
        raise ValueError(
            "segments is empty: give at least one, as \"'100': 0\" (end kimg, quoted: kimg it resumes from)"
        )
    for end, start in segments.items():
        if not end.isdecimal() or str(int(end)) != end:
            raise ValueError(f"segments: key {end!r} must be a whole number of kimg, as '100'")
        if start >= int(end):
            raise ValueError(f"segments: '{end}': {start} must resume from an earlier kimg than {end}")
        if start and str(start) not in segments:
            raise ValueError(
                f"segments: '{end}': {start} resumes from kimg {start}, which is neither 0 nor a segment's end"
            )
    if str(total_kimg) not in segments:
        ends = ", ".join(sorted(segments, key=int))
        raise ValueError(f"total_kimg={total_kimg} must be the end of a segment: {ends}")
