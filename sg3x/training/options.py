"""From validated parameters to the configurations that networks and training take."""

from __future__ import annotations

from typing import Any

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.augment import AugmentConfig
from sg3x.training.defaults import resolve
from sg3x.training.state import TrainConfig


def generator_config(
    section: Any, resolution: int, activation_dtype: str, magnitude_ema_beta: float = 0.999
) -> GeneratorConfig:
    """`section` is params.yaml's `generator`; configuration R doubles its channels."""
    make = GeneratorConfig.t if section.config == "T" else GeneratorConfig.r
    return make(
        resolution,
        z_dim=section.z_dim,
        w_dim=section.w_dim,
        mapping_layers=section.mapping_layers,
        num_layers=section.num_layers,
        num_critical=section.num_critical,
        channel_base=section.channel_base,
        channel_max=section.channel_max,
        channels=None if section.channels is None else tuple(section.channels),
        margin_size=section.margin_size,
        magnitude_ema_beta=magnitude_ema_beta,
        activation_dtype=activation_dtype,
    )


def discriminator_config(section: Any, resolution: int, activation_dtype: str) -> DiscriminatorConfig:
    """`section` is params.yaml's `discriminator`."""
    return DiscriminatorConfig(
        resolution,
        channel_base=section.channel_base,
        channel_max=section.channel_max,
        mbstd_group_size=section.mbstd_group_size,
        activation_dtype=activation_dtype,
    )


def train_config(params: Any) -> TrainConfig:
    """The train stage's parameters as a TrainConfig."""
    # Half-life of the magnitude EMA in thousands of images, as the reference's command line sets it.
    magnitude_ema_beta = 0.5 ** (params.batch_size / (params.generator.magnitude_ema_kimg * 1000))
    chosen = {name: value for name, (value, _) in resolve(params).items()}
    return TrainConfig(
        generator=generator_config(params.generator, params.resolution, params.activation_dtype, magnitude_ema_beta),
        discriminator=discriminator_config(params.discriminator, params.resolution, params.activation_dtype),
        batch_size=params.batch_size,
        r1_gamma=chosen["r1_gamma"],
        seed=params.seed,
        g_lr=chosen["g_lr"],
        d_lr=chosen["d_lr"],
        r1_interval=params.r1_interval,
        augment=AugmentConfig.preset(params.augment),
        ada_target=params.ada_target,
        ada_kimg=params.ada_kimg,
        ada_interval=params.ada_interval,
        ema_kimg=chosen["ema_kimg"],
        ema_rampup=params.ema_rampup,
        ema_decay=params.ema_decay,
        blur_init_sigma=params.blur_init_sigma,
        blur_fade_kimg=params.blur_fade_kimg,
        freeze_d=params.init.freeze_d,
        remat=params.remat,
    )
