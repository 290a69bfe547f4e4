"""The same weights without the alias-free parts: what StyleGAN3's filters buy, shown on one's own model.

Not a trained StyleGAN2: a generator's weights run the way StyleGAN2 computes (Karras et al. 2020): feature maps end at
the picture's edge and are zero-padded there, the leaky ReLU acts at the layer's own rate without filters around it,
resolutions double by the bilinear kernel [1, 3, 3, 1], and every layer adds noise that is fixed to its pixels. These are
what StyleGAN3 (section 2) finds to glue detail to pixel coordinates.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.networks.fourier_input import fourier_input
from sg3x.networks.layers import LRELU_GAIN, LRELU_SLOPE, Params, dense, modulated_conv2d
from sg3x.networks.model import Generator
from sg3x.networks.schedule import GeneratorConfig, layer_schedule
from sg3x.ops.upfirdn2d import upsample2d

_BILINEAR = np.array([1.0, 3.0, 3.0, 1.0], np.float32) / 8
_NOISE = 0.1  # of the layer's magnitude; StyleGAN2 learns it per layer, and lands at this order
_SEED = 2020


class PlainGenerator:
    """A `Generator` whose synthesis is `plain_synthesis`; offers what pictures and metrics ask of one."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.z_dim, self.resolution = generator.z_dim, generator.resolution

    def mapping(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> jax.Array:
        """As the generator's."""
        return self._generator.mapping(z, c, truncation_psi, truncation_cutoff)

    def synthesis(self, ws: Any, transform: Any = None) -> jax.Array:
        """Pictures float32[N, R, R, channels]; arguments as `Generator.synthesis`."""
        g = self._generator
        transform = jnp.asarray(np.eye(3) if transform is None else transform, jnp.float32)
        return plain_synthesis(g.config, g.params, g.buffers, jnp.asarray(ws, jnp.float32), transform)


@partial(jax.jit, static_argnums=0)
def plain_synthesis(
    config: GeneratorConfig, params: Params, buffers: Params, ws: jax.Array, transform: jax.Array
) -> jax.Array:
    """Pictures float32[N, R, R, channels] of ws float32[N, num_ws, w_dim] by StyleGAN2's plain operations."""
    schedule = layer_schedule(config)
    spec = schedule.input
    side = int(spec.sampling_rate)
    x = fourier_input(
        params, buffers, ws[:, 0], size=(side, side), sampling_rate=spec.sampling_rate, bandwidth=spec.bandwidth,
        transform=transform,
    )  # fmt: skip
    for i, layer in enumerate(schedule.layers):
        name = f"synthesis.{layer.name}"
        styles = dense(params, f"{name}.affine", ws[:, i + 1])
        if layer.is_torgb:
            styles = styles / np.sqrt(layer.in_channels * layer.conv_kernel**2).item()
        x = modulated_conv2d(
            x, params[f"{name}.weight"], styles, demodulate=not layer.is_torgb, padding=(layer.conv_kernel - 1) // 2,
            input_gain=_own_gain(x),
        )  # fmt: skip
        if (up := layer.out_sampling_rate // layer.in_sampling_rate) > 1:
            x = upsample2d(x, _BILINEAR, up)
        x = x + params[f"{name}.bias"]
        if not layer.is_torgb:
            x = x + _NOISE * _fixed_noise(i, x.shape[1])
            x = jnp.where(x > 0, x, LRELU_SLOPE * x) * LRELU_GAIN
    return x * config.output_scale


def _own_gain(x: jax.Array) -> jax.Array:
    """float32[N, C]: brings each picture's features to magnitude 1, as StyleGAN2's demodulation does on average.

    The magnitudes recorded in training are those of filtered layers; these ones are not filtered, and larger.
    """
    return jnp.broadcast_to(jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=(1, 2, 3)))[:, None], (x.shape[0], x.shape[3]))


def _fixed_noise(layer: int, side: int) -> np.ndarray:
    """float32[side, side, 1]: the same in every picture, wherever its content moves."""
    return np.random.RandomState(_SEED + layer).randn(side, side, 1).astype(np.float32)
