"""The StyleGAN3 generator, configurations T and R, as pure functions of flat parameter dicts.

`params` are trained, `buffers` are not (w_avg, Fourier frequencies, magnitude EMAs); both use the reference's names.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sg3x.networks.equalized import initial_key
from sg3x.networks.fourier_input import fourier_input, init_fourier_input
from sg3x.networks.layers import LRELU_GAIN, LRELU_SLOPE, Params, dense, init_dense, modulated_conv2d
from sg3x.networks.mapping import MappingNetwork, apply_mapping, init_mapping, truncate
from sg3x.networks.schedule import GeneratorConfig, LayerSpec, layer_schedule
from sg3x.networks.synthesis import SynthesisNetwork, layer_filters
from sg3x.ops import filtered_lrelu

W_AVG = "mapping.w_avg"


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


def init_generator(key: jax.Array, config: GeneratorConfig) -> tuple[Params, Params]:
    """Random parameters and initial buffers."""
    schedule = layer_schedule(config)
    params = init_mapping(
        jax.random.fold_in(key, 0), config.z_dim, config.c_dim, config.w_dim, config.mapping_layers,
        config.mapping_lr_multiplier,
    )  # fmt: skip
    input_params, buffers = init_fourier_input(jax.random.fold_in(key, 1), schedule.input, config.w_dim)
    params |= input_params
    buffers[W_AVG] = jnp.zeros((config.w_dim,))
    for i, layer in enumerate(schedule.layers):
        layer_key = jax.random.fold_in(key, 2 + i)
        name = f"synthesis.{layer.name}"
        shape = (layer.conv_kernel, layer.conv_kernel, layer.in_channels, layer.out_channels)
        params[f"{name}.weight"] = jax.random.normal(jax.random.fold_in(layer_key, 0), shape)
        params[f"{name}.bias"] = jnp.zeros((layer.out_channels,))
        params |= init_dense(
            jax.random.fold_in(layer_key, 1), f"{name}.affine", config.w_dim, layer.in_channels, bias=1.0
        )
        buffers[f"{name}.magnitude_ema"] = jnp.ones(())
    return params, buffers


def mapping(
    params: Params,
    buffers: Params,
    config: GeneratorConfig,
    z: jax.Array,
    c: jax.Array | None = None,
    truncation_psi: float | jax.Array = 1.0,
    truncation_cutoff: int | None = None,
    update_emas: bool = False,
) -> tuple[jax.Array, Params]:
    """ws float32[N, num_ws, w_dim] of latents z[N, z_dim], and the buffers (with w_avg moved when `update_emas`)."""
    if z.ndim != 2 or z.shape[1] != config.z_dim:
        raise ValueError(f"latents z have shape {z.shape}, expected [N, {config.z_dim}]")
    if truncation_cutoff is not None and truncation_cutoff < 0:
        raise ValueError(f"truncation_cutoff={truncation_cutoff} must be None or at least 0")
    w = apply_mapping(params, z, c, config.mapping_layers, config.mapping_lr_multiplier)
    if update_emas:  # before truncation, as the reference does
        mean = jnp.mean(jax.lax.stop_gradient(w), axis=0)
        buffers = {**buffers, W_AVG: mean + config.w_avg_beta * (buffers[W_AVG] - mean)}
    ws = jnp.broadcast_to(w[:, None], (w.shape[0], config.num_ws, w.shape[1]))
    if not (isinstance(truncation_psi, (int, float)) and truncation_psi == 1):
        ws = truncate(ws, buffers[W_AVG], truncation_psi, truncation_cutoff)
    return ws, buffers


def synthesis(
    params: Params,
    buffers: Params,
    config: GeneratorConfig,
    ws: jax.Array,
    transform: jax.Array | None = None,
    update_emas: bool = False,
    style_powers: Params | None = None,
    remat: bool = False,
) -> tuple[jax.Array, Params]:
    """Pictures float32[N, R, R, channels], about -1..1, of ws[N, num_ws, w_dim], and the buffers.

    Args:
        transform: float[3, 3], what the Fourier input's coordinates go through: the inverse of the picture's motion, in
            units of the picture's side with the origin at its centre.
        update_emas: training of D only: move the magnitude EMAs, each before it is used.
        style_powers: of the whole batch (see `style_powers`), when ws is only a part of it.
        remat: keep only the layers' inputs for the gradient, and compute each layer again in the backward pass.
    """
    if ws.ndim != 3 or ws.shape[1:] != (config.num_ws, config.w_dim):
        raise ValueError(f"ws has shape {ws.shape}, expected [N, {config.num_ws}, {config.w_dim}]")
    schedule = layer_schedule(config)
    ws = ws.astype(jnp.float32)
    x = synthesis_input(params, buffers, config, ws[:, 0], transform)
    new_buffers = dict(buffers)
    compute = jax.checkpoint(synthesis_layer, static_argnums=(2, 3, 6)) if remat else synthesis_layer
    for i, layer in enumerate(schedule.layers):
        power = None if style_powers is None else style_powers.get(layer.name)
        x, ema = compute(params, buffers, config, layer, x, ws[:, i + 1], update_emas, power)
        new_buffers[f"synthesis.{layer.name}.magnitude_ema"] = ema
    return x.astype(jnp.float32) * config.output_scale, new_buffers


def synthesis_input(
    params: Params, buffers: Params, config: GeneratorConfig, w: jax.Array, transform: jax.Array | None = None
) -> jax.Array:
    """The Fourier features float32[N, H, W, C] that synthesis starts from, of w[N, w_dim]."""
    spec = layer_schedule(config).input
    return fourier_input(
        params, buffers, w, size=(spec.size, spec.size), sampling_rate=spec.sampling_rate,
        bandwidth=spec.bandwidth, transform=transform,
    )  # fmt: skip


def style_powers(params: Params, config: GeneratorConfig, ws: jax.Array) -> Params:
    """Mean square of each demodulated layer's styles over a batch of ws[N, num_ws, w_dim]: layer name -> scalar.

    Demodulation normalises by it; it is all that couples the pictures of a batch when the EMAs stand still.
    """
    layers = enumerate(layer_schedule(config).layers, start=1)
    styles = {l.name: dense(params, f"synthesis.{l.name}.affine", ws[:, i]) for i, l in layers if not l.is_torgb}
    return {name: jnp.mean(jnp.square(s.astype(jnp.float32))) for name, s in styles.items()}


def synthesis_layer(
    params: Params,
    buffers: Params,
    config: GeneratorConfig,
    layer: LayerSpec,
    x: jax.Array,
    w: jax.Array,
    update_emas: bool = False,
    style_power: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """One layer on x[N, H, W, Cin] with w[N, w_dim] -> (x', magnitude_ema) (StyleGAN3 paper, figure 4b)."""
    name = f"synthesis.{layer.name}"
    ema = buffers[f"{name}.magnitude_ema"]
    if update_emas:  # a mean square, moved before it is used
        magnitude = jnp.mean(jnp.square(jax.lax.stop_gradient(x).astype(jnp.float32)))
        ema = magnitude + config.magnitude_ema_beta * (ema - magnitude)
    styles = dense(params, f"{name}.affine", w)
    if layer.is_torgb:
        styles = styles / np.sqrt(layer.in_channels * layer.conv_kernel**2).item()
    x = x.astype(config.activation_dtype if layer.use_fp16 else jnp.float32)
    x = modulated_conv2d(
        x, params[f"{name}.weight"], styles, demodulate=not layer.is_torgb, padding=layer.conv_kernel - 1,
        input_gain=jax.lax.rsqrt(ema), style_power=style_power,
    )  # fmt: skip
    up_filter, down_filter = layer_filters(layer)
    x = filtered_lrelu(
        x, up_filter, down_filter, params[f"{name}.bias"], up=layer.up_factor, down=layer.down_factor,
        padding=layer.padding, gain=1.0 if layer.is_torgb else LRELU_GAIN, slope=1.0 if layer.is_torgb else LRELU_SLOPE,
        clamp=config.conv_clamp,
    )  # fmt: skip
    return x, ema
