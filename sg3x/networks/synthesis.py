"""The synthesis network: w -> pictures (StyleGAN3, section 3, figure 4)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sg3x.networks.compiled import compiled
from sg3x.networks.equalized import LRELU_GAIN, LRELU_SLOPE, Dense, float32
from sg3x.networks.modulated_conv import modulated_conv2d
from sg3x.networks.naming import Params
from sg3x.networks.schedule import GeneratorConfig, LayerSpec, layer_schedule
from sg3x.networks.synthesis_input import SynthesisInput
from sg3x.networks.variables import RunningMean
from sg3x.ops import design_lowpass_filter, filtered_lrelu


class SynthesisLayer(nnx.Module):
    """One layer: modulated convolution, then the filtered nonlinearity (figure 4b). ToRGB is one without either's extras."""

    def __init__(self, spec: LayerSpec, config: GeneratorConfig, *, key: jax.Array) -> None:
        self.spec, self.config = spec, config
        shape = (spec.conv_kernel, spec.conv_kernel, spec.in_channels, spec.out_channels)
        self.weight = nnx.Param(jax.random.normal(jax.random.fold_in(key, 0), shape))
        self.bias = nnx.Param(jnp.zeros((spec.out_channels,)))
        self.affine = Dense(config.w_dim, spec.in_channels, key=jax.random.fold_in(key, 1), bias=1.0)
        self.magnitude_ema = RunningMean(jnp.ones(()))

    def __call__(self, x: jax.Array, w: jax.Array, style_power: jax.Array | None = None) -> jax.Array:
        """x[N, H, W, Cin] with w[N, w_dim] -> [N, H', W', Cout].

        `style_power`: mean square of the styles over the whole batch (modulated_conv2d), when x is only a part of it.
        """
        spec = self.spec
        styles = self.affine(w)
        if spec.is_torgb:
            styles = styles / np.sqrt(spec.in_channels * spec.conv_kernel**2).item()
        x = x.astype(self.config.activation_dtype if spec.use_fp16 else jnp.float32)
        # StyleGAN2, section 2.2: demodulated weights. StyleGAN3, appendix F.1: the input divided by its running magnitude.
        x = modulated_conv2d(
            x,
            self.weight[...],
            styles,
            demodulate=not spec.is_torgb,
            padding=spec.conv_kernel - 1,
            input_gain=jax.lax.rsqrt(self.magnitude_ema[...]),
            style_power=style_power,
        )
        # Sections 2.1 and 3.2: the nonlinearity acts at a higher rate, between two low-pass filters.
        up_filter, down_filter = layer_filters(spec)
        return filtered_lrelu(
            x,
            up_filter,
            down_filter,
            self.bias[...],
            up=spec.up_factor,
            down=spec.down_factor,
            padding=spec.padding,
            gain=1.0 if spec.is_torgb else LRELU_GAIN,
            slope=1.0 if spec.is_torgb else LRELU_SLOPE,
            clamp=self.config.conv_clamp,
        )

    def track(self, x: jax.Array) -> None:
        """Moves the running mean square of the input, which the layer then divides by (appendix F.1, «Normalization»)."""
        magnitude = jnp.mean(jnp.square(jax.lax.stop_gradient(x).astype(jnp.float32)))
        self.move_magnitude(magnitude)

    def move_magnitude(self, magnitude: jax.Array) -> None:
        """Moves the running mean towards the mean square of the whole batch's input."""
        ema = self.magnitude_ema[...]
        self.magnitude_ema.set_value(magnitude + self.config.magnitude_ema_beta * (ema - magnitude))


class SynthesisNetwork(nnx.Module):
    """ws -> pictures: the Fourier input, then layers named L<index>_<size>_<channels>, ToRGB last."""

    def __init__(self, config: GeneratorConfig, *, key: jax.Array) -> None:
        schedule = layer_schedule(config)
        self.config = config
        self.input = SynthesisInput(schedule.input, config.w_dim, key=jax.random.fold_in(key, 1))
        for i, spec in enumerate(schedule.layers):
            setattr(self, spec.name, SynthesisLayer(spec, config, key=jax.random.fold_in(key, 2 + i)))

    @property
    def layers(self) -> list[SynthesisLayer]:
        """All layers in their order."""
        return [getattr(self, spec.name) for spec in layer_schedule(self.config).layers]

    def __call__(
        self,
        ws: Any,
        transform: Any = None,
        *,
        style_powers: Mapping[str, jax.Array] | None = None,
        track: bool = False,
        remat: bool = False,
    ) -> jax.Array:
        """Pictures float32[N, R, R, channels], about -1..1, of ws[N, num_ws, w_dim]. Compiled once per shape.

        Args:
            transform: float[3, 3] or [N, 3, 3], what the Fourier input's coordinates go through: the inverse of the picture's
                motion, in units of the picture's side with the origin at its centre.
            style_powers: of the whole batch (`style_powers`), when ws is only a part of it.
            track: move the running magnitudes, each before it is used (training of D only).
            remat: keep only the layers' inputs for the gradient; each layer is computed again in the backward pass.
        """
        ws, transform = float32(ws), float32(transform)
        config = self.config
        if ws.ndim != 3 or ws.shape[1:] != (config.num_ws, config.w_dim):
            raise ValueError(f"ws has shape {ws.shape}, expected [N, {config.num_ws}, {config.w_dim}]")
        if transform is not None and transform.shape not in ((3, 3), (len(ws), 3, 3)):
            raise ValueError(f"transform has shape {transform.shape}, expected [3, 3] or [{len(ws)}, 3, 3]")
        powers = None if style_powers is None else dict(style_powers)
        return _synthesize(self, ws, transform, powers, track=track, remat=remat)

    def style_powers(self, ws: jax.Array) -> Params:
        """Mean square of each demodulated layer's styles over a batch of ws[N, num_ws, w_dim]: layer name -> scalar.

        Demodulation normalises by it; it is all that couples the pictures of a batch when the running means stand still.
        """
        layers = enumerate(self.layers, start=1)
        styles = {layer.spec.name: layer.affine(ws[:, i]) for i, layer in layers if not layer.spec.is_torgb}
        return {name: jnp.mean(jnp.square(s.astype(jnp.float32))) for name, s in styles.items()}


@compiled("track", "remat")
def _synthesize(
    network: SynthesisNetwork,
    ws: jax.Array,
    transform: jax.Array | None,
    powers: Params | None,
    track: bool,
    remat: bool,
) -> jax.Array:
    x = network.input(ws[:, 0], transform)
    compute = nnx.remat(SynthesisLayer.__call__, graph=False) if remat else SynthesisLayer.__call__
    for i, layer in enumerate(network.layers, start=1):
        w, power = ws[:, i], None if powers is None else powers.get(layer.spec.name)
        if track:
            layer.track(x)
        x = compute(layer, x, w, power)
    return x.astype(jnp.float32) * network.config.output_scale


@lru_cache(maxsize=256)
def layer_filters(layer: LayerSpec) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The up- and downsampling low-pass filters of a layer, None where it has none."""
    up = design_lowpass_filter(layer.up_taps, layer.in_cutoff, layer.in_half_width * 2, layer.tmp_sampling_rate)
    down = design_lowpass_filter(
        layer.down_taps, layer.out_cutoff, layer.out_half_width * 2, layer.tmp_sampling_rate, radial=layer.down_radial
    )
    return up, down
