"""TrainConfig, all that a training step depends on beside the state, from the validated parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from sg3x.config.sections import DiscriminatorSection, GeneratorSection, Params
from sg3x.networks.discriminator import DiscriminatorConfig
from sg3x.networks.schedule import GeneratorConfig
from sg3x.training.augment import AugmentConfig
from sg3x.training.defaults import resolve


@dataclass(frozen=True)
class TrainConfig:
    """All that a training step depends on beside the state."""

    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    batch_size: int
    r1_gamma: float
    seed: int = 0
    g_lr: float = 0.0025
    d_lr: float = 0.002
    betas: tuple[float, float] = (0.0, 0.99)
    r1_interval: int = 16  # one R1 step every so many steps
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    ada_target: float = 0.6
    ada_kimg: float = 500.0
    ada_interval: int = 4
    ema_kimg: float | None = 10.0
    ema_rampup: float | None = 0.05
    ema_decay: float | None = None  # constant decay per step, instead of ema_kimg
    blur_init_sigma: float = 0.0
    blur_fade_kimg: float = 0.0
    freeze_d: int = 0  # first layers of D that are not trained
    remat: str = "none"  # "layers": compute every layer again in the backward pass instead of keeping what is inside

    @property
    def recomputes(self) -> bool:
        return self.remat == "layers"

    @property
    def group_size(self) -> int:
        """Samples of a minibatch-standard-deviation group."""
        return min(self.discriminator.mbstd_group_size or self.batch_size, self.batch_size)


# Fields that are keys of params.yaml under the same name; the others are computed in `train_config`.
SAME = tuple(
    f.name
    for f in fields(TrainConfig)
    if f.name in Params.model_fields
    and f.name not in ("generator", "discriminator", "augment", "r1_gamma", "g_lr", "d_lr", "ema_kimg")
)


def generator_config(
    section: GeneratorSection, resolution: int, activation_dtype: str, magnitude_ema_beta: float = 0.999
) -> GeneratorConfig:
    """`section` is params.yaml's `generator`; configuration R doubles its channels."""
    make = GeneratorConfig.t if section.config == "T" else GeneratorConfig.r
    options = section.model_dump(exclude={"config", "magnitude_ema_kimg"})
    options["channels"] = None if section.channels is None else tuple(section.channels)
    return make(resolution, **options, magnitude_ema_beta=magnitude_ema_beta, activation_dtype=activation_dtype)


def discriminator_config(section: DiscriminatorSection, resolution: int, activation_dtype: str) -> DiscriminatorConfig:
    """`section` is params.yaml's `discriminator`."""
    return DiscriminatorConfig(resolution, **section.model_dump(), activation_dtype=activation_dtype)


def train_config(params: Params) -> TrainConfig:
    """The train stage's parameters as a TrainConfig."""
    # Half-life of the magnitude EMA in thousands of images, as the reference's command line sets it.
    magnitude_ema_beta = 0.5 ** (params.batch_size / (params.generator.magnitude_ema_kimg * 1000))
    chosen = resolve(params)
    return TrainConfig(
        generator_config(params.generator, params.resolution, params.activation_dtype, magnitude_ema_beta),
        discriminator_config(params.discriminator, params.resolution, params.activation_dtype),
        r1_gamma=chosen.r1_gamma.value,
        g_lr=chosen.g_lr.value,
        d_lr=chosen.d_lr.value,
        ema_kimg=chosen.ema_kimg.value,
        augment=AugmentConfig.preset(params.augment),
        freeze_d=params.init.freeze_d,
        **{name: getattr(params, name) for name in SAME},
    )
