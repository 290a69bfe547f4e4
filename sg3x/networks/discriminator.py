"""Residual discriminator with minibatch standard deviation (StyleGAN2), conditional by projection."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sg3x.networks.compiled import compiled
from sg3x.networks.equalized import LRELU_GAIN, Conv, Dense, float32, initial_key, lrelu
from sg3x.networks.limits import (
    LARGEST_PICTURE,
    LAYERS,
    PRECISION,
    WIDTH,
    Limit,
    Number,
    Whole,
    check_fields,
    from_values,
)
from sg3x.networks.mapping import MappingNetwork
from sg3x.networks.schedule import check_power_of_two
from sg3x.ops import upfirdn2d
from sg3x.ops.calling import refuse_integers

SQRT_HALF = np.sqrt(0.5).item()
BLUR = np.array([1, 3, 3, 1], np.float32) / 8

# The last bias shifts all logits equally, so it vanishes from d logit / d image: in the R1 phase Adam must skip it.
LOGIT_BIAS = "b4.out.bias"


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of the discriminator; names and defaults of the reference constructor."""

    img_resolution: int
    c_dim: int = 0
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    conv_clamp: float | None = 256.0
    cmap_dim: int | None = None  # None: channels at 4x4
    mapping_layers: int = 8  # of the label's mapping network
    mapping_lr_multiplier: float = 0.01
    mbstd_group_size: int | None = 4  # None: the whole batch
    mbstd_num_channels: int = 1
    num_fp16_res: int = 4
    activation_dtype: str = "float32"

    def __post_init__(self) -> None:
        check_fields(self, _LIMITS)
        check_power_of_two("img_resolution", self.img_resolution, 8)
        if self.channels(self.img_resolution) < 1:
            raise ValueError(f"channel_base={self.channel_base} must be at least img_resolution={self.img_resolution}")

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Of the residual blocks, highest first: R, R/2, ..., 8."""
        return tuple(2**i for i in range(int(np.log2(self.img_resolution)), 2, -1))

    def channels(self, resolution: int) -> int:
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def label_dim(self) -> int:
        """Width of the projected label, 0 when unconditional."""
        if self.c_dim == 0:
            return 0
        return self.channels(4) if self.cmap_dim is None else self.cmap_dim

    def block_dtype(self, resolution: int) -> str:
        lowest = max(2 ** (int(np.log2(self.img_resolution)) + 1 - self.num_fp16_res), 8)
        return self.activation_dtype if resolution >= lowest else "float32"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DiscriminatorConfig:
        """The configuration that `to_dict` gave; raises ValueError for anything that is none."""
        return from_values(cls, values)


_LIMITS: dict[str, Limit] = {
    "img_resolution": Whole(8, LARGEST_PICTURE),
    "c_dim": Whole(0, 65536),
    "img_channels": Whole(1, 1024),
    "channel_base": Whole(1, 2**24),
    "channel_max": WIDTH,
    "conv_clamp": Number(0, 1e12, optional=True),
    "cmap_dim": Whole(1, 65536, optional=True),
    "mapping_layers": Whole(0, LAYERS),
    "mapping_lr_multiplier": Number(-1e6, 1e6),
    "mbstd_group_size": Whole(1, 65536, optional=True),
    "mbstd_num_channels": Whole(1, 1024),
    "num_fp16_res": Whole(0, LAYERS),
    "activation_dtype": PRECISION,
}


class DiscriminatorBlock(nnx.Module):
    """A residual block from resolution R to R / 2: two 3x3 convolutions beside a 1x1 skip (StyleGAN2, section 4.1)."""

    def __init__(self, config: DiscriminatorConfig, resolution: int, *, key: jax.Array) -> None:
        here, below = config.channels(resolution), config.channels(resolution // 2)
        place = 4 * config.resolutions.index(resolution)
        self.config, self.resolution = config, resolution
        first = place == 0
        self.fromrgb = Conv(1, config.img_channels, here, key=jax.random.fold_in(key, 0)) if first else None
        self.conv0 = Conv(3, here, here, key=jax.random.fold_in(key, place + 1))
        self.conv1 = Conv(3, here, below, key=jax.random.fold_in(key, place + 2))
        self.skip = Conv(1, here, below, key=jax.random.fold_in(key, place + 3), bias=False)

    def residual(self, x: jax.Array) -> jax.Array:
        """x[N, R, R, C] -> [N, R/2, R/2, C']; both paths are scaled to keep the variance."""
        clamp = self.config.conv_clamp
        skip = self.skip(upfirdn2d(x, BLUR, down=2, padding=1)) * SQRT_HALF
        x = lrelu(self.conv0(x), clamp=clamp)
        x = self.conv1(upfirdn2d(x, BLUR, padding=2), stride=2)
        x = lrelu(x, gain=LRELU_GAIN * SQRT_HALF, clamp=None if clamp is None else clamp * SQRT_HALF)
        return x + skip

    def __call__(self, x: jax.Array, remat: bool = False) -> jax.Array:
        """The block in its dtype, pictures first brought to its channels in the highest one."""
        x = x.astype(self.config.block_dtype(self.resolution))
        if self.fromrgb is not None:
            x = lrelu(self.fromrgb(x), clamp=self.config.conv_clamp)
        compute = DiscriminatorBlock.residual
        return nnx.remat(compute, graph=False)(self, x) if remat else compute(self, x)


class DiscriminatorEpilogue(nnx.Module):
    """The last block, at 4x4: minibatch standard deviation, a convolution, two dense layers."""

    def __init__(self, config: DiscriminatorConfig, *, key: jax.Array) -> None:
        width, place = config.channels(4), 4 * len(config.resolutions) + 4
        self.config = config
        self.conv = Conv(3, width + config.mbstd_num_channels, width, key=jax.random.fold_in(key, place))
        self.fc = Dense(width * 16, width, key=jax.random.fold_in(key, place + 1))
        self.out = Dense(width, config.label_dim or 1, key=jax.random.fold_in(key, place + 2))

    def __call__(self, x: jax.Array, group_size: int | None) -> jax.Array:
        """float32[N, 4, 4, C] -> float32[N, label_dim or 1]."""
        x = minibatch_stddev(x.astype(jnp.float32), group_size, self.config.mbstd_num_channels)
        x = lrelu(self.conv(x), clamp=self.config.conv_clamp)
        x = lrelu(self.fc(x.reshape(x.shape[0], -1)))
        return self.out(x)


class Discriminator(nnx.Module):
    """The residual discriminator of StyleGAN2: blocks b<R> ... b8, the epilogue b4, and the label's mapping network."""

    def __init__(
        self, config: DiscriminatorConfig, *, key: jax.Array | None = None, rngs: nnx.Rngs | None = None
    ) -> None:
        key = initial_key(key, rngs)
        self.config = config
        for resolution in config.resolutions:
            setattr(self, f"b{resolution}", DiscriminatorBlock(config, resolution, key=key))
        self.b4 = DiscriminatorEpilogue(config, key=key)
        label = (0, config.c_dim, config.label_dim, config.mapping_layers, config.mapping_lr_multiplier)
        place = jax.random.fold_in(key, 4 * len(config.resolutions) + 7)
        self.mapping = MappingNetwork(*label, key=place) if config.c_dim > 0 else None

    @property
    def blocks(self) -> list[DiscriminatorBlock]:
        """The residual blocks, highest resolution first."""
        return [getattr(self, f"b{resolution}") for resolution in self.config.resolutions]

    def __call__(self, img: Any, c: Any = None, *, group_size: int | None = None, remat: bool = False) -> jax.Array:
        """Logits float32[N, 1] of pictures img[N, R, R, channels], about -1..1, and labels c[N, c_dim]. Compiled once per shape.

        Args:
            group_size: samples of a minibatch-standard-deviation group; None: as configured.
            remat: keep only the blocks' inputs for the gradient; each block is computed again in the backward pass.
        """
        config = self.config
        expected = (config.img_resolution, config.img_resolution, config.img_channels)
        if np.ndim(img) != 4 or np.shape(img)[1:] != expected:
            raise ValueError(f"img has shape {np.shape(img)}, expected [N, {', '.join(map(str, expected))}]")
        refuse_integers("img", img)
        img, c = float32(img), float32(c)
        if config.c_dim > 0 and c is not None and c.shape != (img.shape[0], config.c_dim):
            raise ValueError(f"labels c have shape {c.shape}, expected [{img.shape[0]}, {config.c_dim}]")
        return _judge(self, img, c, group_size=group_size or config.mbstd_group_size, remat=remat)


@compiled("group_size", "remat")
def _judge(
    network: Discriminator, img: jax.Array, c: jax.Array | None, group_size: int | None, remat: bool
) -> jax.Array:
    x = img
    for block in network.blocks:
        x = block(x, remat)
    x = network.b4(x, group_size)
    if network.mapping is None:
        return x
    # Projection: the inner product with the embedded label (Miyato and Koyama 2018).
    cmap = network.mapping.hidden(None, c)
    return jnp.sum(x * cmap, axis=1, keepdims=True) / np.sqrt(network.config.label_dim).item()


def frozen_names(config: DiscriminatorConfig, layers: int) -> frozenset[str]:
    """Names of the weights and biases of the first `layers` layers: fromrgb, then conv0, conv1, skip of every block.

    Freeze-D (Mo et al. 2020): when a discriminator is adapted to few pictures, its first layers stay as they are. The
    layers at 4x4 are never among them.
    """
    kinds = [(res, kind) for res in config.resolutions for kind in ("fromrgb", "conv0", "conv1", "skip")]
    names = [f"b{res}.{kind}" for res, kind in kinds if kind != "fromrgb" or res == config.img_resolution]
    return frozenset(f"{name}.{part}" for name in names[:layers] for part in ("weight", "bias"))


def minibatch_stddev(x: jax.Array, group_size: int | None, num_channels: int) -> jax.Array:
    """x[N, H, W, C] with `num_channels` more: the mean deviation within a group of samples (ProGAN, section 3).

    Sample n belongs to group n mod (N / G): groups are strided over the batch, as in the reference.
    """
    n, h, w, c = x.shape
    group = n if group_size is None else min(group_size, n)
    if n % group or c % num_channels:
        raise ValueError(
            f"a batch of {n} with {c} channels does not split into groups of {group} and {num_channels} parts"
        )
    y = x.reshape(group, n // group, h, w, num_channels, c // num_channels)
    y = y - jnp.mean(y, axis=0)
    y = jnp.sqrt(jnp.mean(jnp.square(y), axis=0) + 1e-8)
    y = jnp.mean(y, axis=(1, 2, 4))  # [N/G, F]
    y = jnp.tile(y[None, :, None, None, :], (group, 1, h, w, 1)).reshape(n, h, w, num_channels)
    return jnp.concatenate([x, y], axis=-1)
