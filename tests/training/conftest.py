"""A network that trains in seconds, and programs that are compiled once a module."""

import jax
import numpy as np
import pytest

from sg3x.networks import DiscriminatorConfig, GeneratorConfig
from sg3x.training.state import TrainConfig

G = GeneratorConfig(16, z_dim=4, w_dim=4, num_layers=2, num_critical=1, channel_base=32, channel_max=4, margin_size=1)
D = DiscriminatorConfig(16, channel_base=32, channel_max=4)
CONFIG = TrainConfig(G, D, batch_size=8, r1_gamma=1.0)
PICTURES = np.random.RandomState(0).randint(0, 256, (20, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """The segments of a module run the same programs."""
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    yield
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])
