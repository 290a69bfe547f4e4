"""Networks as pure functions of flat parameter dicts."""

from sg3x.networks.discriminator import DiscriminatorConfig, discriminator, init_discriminator
from sg3x.networks.generator import init_generator, mapping, synthesis, synthesis_layer
from sg3x.networks.layers import Params, modulated_conv2d
from sg3x.networks.schedule import GeneratorConfig, layer_schedule

__all__ = [
    "DiscriminatorConfig",
    "GeneratorConfig",
    "Params",
    "discriminator",
    "init_discriminator",
    "init_generator",
    "layer_schedule",
    "mapping",
    "modulated_conv2d",
    "synthesis",
    "synthesis_layer",
]
