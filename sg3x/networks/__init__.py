"""Networks as Flax NNX modules, and the flat dicts of their arrays."""

from sg3x.networks.devices import OnDevices, on_devices
from sg3x.networks.discriminator import Discriminator, DiscriminatorConfig
from sg3x.networks.generator import Generator
from sg3x.networks.mapping import MappingNetwork
from sg3x.networks.modulated_conv import modulated_conv2d
from sg3x.networks.naming import Params, bind, definition, flat
from sg3x.networks.schedule import GeneratorConfig, layer_schedule
from sg3x.networks.synthesis import SynthesisLayer, SynthesisNetwork
from sg3x.networks.variables import Buffer, RunningMean, Transform

__all__ = [
    "Buffer",
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "MappingNetwork",
    "OnDevices",
    "Params",
    "RunningMean",
    "SynthesisLayer",
    "SynthesisNetwork",
    "Transform",
    "bind",
    "definition",
    "flat",
    "layer_schedule",
    "modulated_conv2d",
    "on_devices",
]
