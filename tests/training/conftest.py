"""A network that trains in seconds."""

import numpy as np

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.state import TrainConfig

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4)
CONFIG = TrainConfig(G, D, batch_size=8, r1_gamma=1.0)
PICTURES = np.random.RandomState(0).randint(0, 256, (20, 16, 16, 3), np.uint8)
