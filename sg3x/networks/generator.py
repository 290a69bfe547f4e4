"""The StyleGAN3 generator, configurations T and R (Karras et al. 2021)."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from flax import nnx

from sg3x.networks.equalized import initial_key
from sg3x.networks.mapping import MappingNetwork
from sg3x.networks.schedule import GeneratorConfig
from sg3x.networks.synthesis import SynthesisNetwork


class Generator(nnx.Module):
    """A StyleGAN3 generator, configuration T or R: `mapping` and `synthesis`, under the reference's names.

    `key` decides the initial weights; users of NNX may give `rngs` instead, whose stream `params` is used.
    """

    def __init__(self, config: GeneratorConfig, *, key: jax.Array | None = None, rngs: nnx.Rngs | None = None) -> None:
        key = initial_key(key, rngs)
        self.config = config
        self.mapping = MappingNetwork(
            config.z_dim,
            config.c_dim,
            config.w_dim,
            config.mapping_layers,
            config.mapping_lr_multiplier,
            config.num_ws,
            config.w_avg_beta,
            key=jax.random.fold_in(key, 0),
        )
        self.synthesis = SynthesisNetwork(config, key=key)

    @property
    def z_dim(self) -> int:
        return self.config.z_dim

    @property
    def resolution(self) -> int:
        return self.config.img_resolution

    @property
    def w_avg(self) -> np.ndarray:
        """float32[w_dim], the running mean of w: where truncation leads to."""
        assert self.mapping.w_avg is not None
        return np.asarray(self.mapping.w_avg[...])

    def __call__(
        self,
        z: Any,
        c: Any = None,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
        *,
        transform: Any = None,
    ) -> jax.Array:
        """Pictures float32[N, R, R, channels], about -1..1, of latents z[N, z_dim] and labels c[N, c_dim].

        Options as of `mapping` and `synthesis`, which are two programs, each compiled once per shape.
        """
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), transform)
