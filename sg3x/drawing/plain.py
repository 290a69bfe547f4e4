"""The same weights without the alias-free parts: what StyleGAN3's filters buy, shown on one's own model.

Not a trained StyleGAN2: a generator's weights run the way StyleGAN2 computes (Karras et al. 2020): feature maps end at
the picture's edge and are zero-padded there, the leaky ReLU acts at the layer's own rate without filters around it,
resolutions double by the bilinear kernel [1, 3, 3, 1], and every layer adds noise that is fixed to its pixels. These are
what StyleGAN3 (section 2) finds to glue detail to pixel coordinates.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sg3x.networks import Generator, SynthesisLayer, SynthesisNetwork, modulated_conv2d
from sg3x.networks.compiled import compiled
from sg3x.networks.equalized import LRELU_GAIN, LRELU_SLOPE, float32
from sg3x.ops.upfirdn2d import upsample2d

_BILINEAR = np.array([1.0, 3.0, 3.0, 1.0], np.float32) / 8
_NOISE = 0.1  # of the layer's magnitude; StyleGAN2 learns it per layer, and lands at this order
_SEED = 2020


class PlainGenerator(nnx.Module):
    """A generator's weights with `PlainSynthesis`; offers what pictures and metrics ask of one."""

    def __init__(self, generator: Generator) -> None:
        self.config = generator.config
        self.mapping = generator.mapping
        self.synthesis = PlainSynthesis(generator.synthesis)

    @property
    def z_dim(self) -> int:
        return self.config.z_dim

    @property
    def resolution(self) -> int:
        return self.config.img_resolution

    @property
    def w_avg(self) -> np.ndarray:
        """float32[w_dim], the running mean of w."""
        assert self.mapping.w_avg is not None
        return np.asarray(self.mapping.w_avg[...])

    def __call__(
        self, z: Any, c: Any = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> jax.Array:
        """Pictures float32[N, R, R, channels] of latents z[N, z_dim]."""
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff))


class PlainSynthesis(nnx.Module):
    """The layers of a `SynthesisNetwork`, computed by StyleGAN2's plain operations."""

    def __init__(self, network: SynthesisNetwork) -> None:
        self.network = network

    def __call__(self, ws: Any, transform: Any = None) -> jax.Array:
        """Pictures float32[N, R, R, channels] of ws float32[N, num_ws, w_dim]; arguments as `SynthesisNetwork`'s."""
        return _synthesize(self, float32(ws), float32(np.eye(3) if transform is None else transform))


@compiled()
def _synthesize(plain: PlainSynthesis, ws: jax.Array, transform: jax.Array) -> jax.Array:
    network = plain.network
    side = int(network.input.spec.sampling_rate)
    x = network.input(ws[:, 0], transform, size=(side, side))
    for i, layer in enumerate(network.layers):
        x = _plain_layer(layer, i, x, ws[:, i + 1])
    return x * network.config.output_scale


def _plain_layer(layer: SynthesisLayer, number: int, x: jax.Array, w: jax.Array) -> jax.Array:
    spec = layer.spec
    styles = layer.affine(w)
    if spec.is_torgb:
        styles = styles / np.sqrt(spec.in_channels * spec.conv_kernel**2).item()
    x = modulated_conv2d(
        x,
        layer.weight[...],
        styles,
        demodulate=not spec.is_torgb,
        padding=(spec.conv_kernel - 1) // 2,
        input_gain=_own_gain(x),
    )
    if (up := spec.out_sampling_rate // spec.in_sampling_rate) > 1:
        x = upsample2d(x, _BILINEAR, up)
    x = x + layer.bias[...]
    if spec.is_torgb:
        return x
    x = x + _NOISE * _fixed_noise(number, x.shape[1])
    return jnp.where(x > 0, x, LRELU_SLOPE * x) * LRELU_GAIN


def _own_gain(x: jax.Array) -> jax.Array:
    """float32[N, C]: brings each picture's features to magnitude 1, as StyleGAN2's demodulation does on average.

    The magnitudes recorded in training are those of filtered layers; these ones are not filtered, and larger.
    """
    return jnp.broadcast_to(jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=(1, 2, 3)))[:, None], (x.shape[0], x.shape[3]))


def _fixed_noise(layer: int, side: int) -> np.ndarray:
    """float32[side, side, 1]: the same in every picture, wherever its content moves."""
    return np.random.RandomState(_SEED + layer).randn(side, side, 1).astype(np.float32)
