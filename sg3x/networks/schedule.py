"""The generator's layers in frequency: rates, sizes, cut-offs, channels (StyleGAN3, section 3.2)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from sg3x.networks.limits import (
    LARGEST_PICTURE,
    LAYERS,
    PRECISION,
    WIDTH,
    Flag,
    Limit,
    Number,
    Whole,
    Wholes,
    check_fields,
    from_values,
)


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of a StyleGAN3 generator; names and defaults of the reference constructor.

    Configuration R is `use_radial_filters=True, conv_kernel=1` with doubled channels: see `GeneratorConfig.r`.
    """

    img_resolution: int
    z_dim: int = 512  # input latent
    c_dim: int = 0  # label, 0 for unconditional
    w_dim: int = 512  # intermediate latent
    img_channels: int = 3
    # Mapping network.
    mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01
    w_avg_beta: float = 0.998  # decay of the running mean of w, per batch
    # Synthesis network.
    channel_base: int = 32768  # overall multiplier of the number of channels
    channel_max: int = 512
    channels: tuple[int, ...] | None = None  # explicit output channels of every layer but ToRGB, instead of the formula
    num_layers: int = 14  # without the Fourier input and ToRGB
    num_critical: int = 2  # last layers that are critically sampled
    first_cutoff: float = 2.0  # f_c of the first layer, cycles per picture
    first_stopband: float = 2**2.1  # f_t of the first layer
    last_stopband_rel: float = 2**0.3  # f_t of the last layer, relative to its cut-off
    margin_size: int = 10  # pixels computed outside the picture, on every side
    output_scale: float = 0.25
    conv_kernel: int = 3  # 3 in T, 1 in R
    filter_size: int = 6  # taps of a low-pass filter per unit of up- or downsampling
    lrelu_upsampling: int = 2  # how far the nonlinearity's rate lies above the layer's
    use_radial_filters: bool = False
    conv_clamp: float | None = 256.0
    magnitude_ema_beta: float = 0.999
    # Precision.
    num_fp16_res: int = 4  # how many of the highest resolutions run in activation_dtype
    activation_dtype: str = "float32"

    def __post_init__(self) -> None:
        check_fields(self, _LIMITS)
        check_power_of_two("img_resolution", self.img_resolution, 16)
        if self.channels is not None and len(self.channels) != self.num_layers:
            raise ValueError(f"channels lists {len(self.channels)} layers, num_layers is {self.num_layers}")
        if not 0 <= self.num_critical < self.num_layers:
            raise ValueError(f"num_critical={self.num_critical} must lie in 0..num_layers-1={self.num_layers - 1}")

    @classmethod
    def t(cls, img_resolution: int, **options: Any) -> GeneratorConfig:
        """Configuration T: translation equivariant."""
        return cls(img_resolution, **options)

    @classmethod
    def r(cls, img_resolution: int, **options: Any) -> GeneratorConfig:
        """Configuration R: translation and rotation equivariant; 1x1 convolutions, twice the channels given."""
        options["channel_base"] = 2 * options.get("channel_base", cls.channel_base)
        options["channel_max"] = 2 * options.get("channel_max", cls.channel_max)
        return cls(img_resolution, **{"conv_kernel": 1, "use_radial_filters": True, **options})

    @property
    def num_ws(self) -> int:
        """Number of copies of w that drive synthesis: the Fourier input, every layer, ToRGB."""
        return self.num_layers + 2

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GeneratorConfig:
        """The configuration that `to_dict` gave; raises ValueError for anything that is none."""
        return from_values(cls, values)


_LIMITS: dict[str, Limit] = {
    "img_resolution": Whole(16, LARGEST_PICTURE),
    "z_dim": WIDTH,
    "c_dim": Whole(0, 65536),
    "w_dim": WIDTH,
    "img_channels": Whole(1, 1024),
    "mapping_layers": Whole(1, LAYERS),
    "mapping_lr_multiplier": Number(-1e6, 1e6),
    "w_avg_beta": Number(-1e6, 1e6),
    "channel_base": Whole(1, 2**24),
    "channel_max": WIDTH,
    "channels": Wholes(WIDTH, LAYERS),
    "num_layers": Whole(1, LAYERS),
    "num_critical": Whole(0, LAYERS),
    "first_cutoff": Number(1e-3, LARGEST_PICTURE),
    "first_stopband": Number(1e-3, 4 * LARGEST_PICTURE),
    "last_stopband_rel": Number(1e-3, 1e3),
    "margin_size": Whole(0, 256),
    "output_scale": Number(-1e6, 1e6),
    "conv_kernel": Whole(1, 15),
    "filter_size": Whole(1, 16),
    "lrelu_upsampling": Whole(1, 4),
    "use_radial_filters": Flag(),
    "conv_clamp": Number(0, 1e12, optional=True),
    "magnitude_ema_beta": Number(-1e6, 1e6),
    "num_fp16_res": Whole(0, LAYERS),
    "activation_dtype": PRECISION,
}
_MOST_TAPS = 4096  # of a filter; 24 is usual


def check_power_of_two(name: str, value: int, least: int) -> None:
    if value < least or value & (value - 1):
        raise ValueError(f"{name}={value} must be a power of two, at least {least}")


@dataclass(frozen=True)
class InputSpec:
    """The Fourier feature input."""

    channels: int
    size: int  # pixels along one side, margins included
    sampling_rate: float  # samples per picture side
    bandwidth: float  # highest frequency, cycles per picture


@dataclass(frozen=True)
class LayerSpec:
    """One synthesis layer. Rates in samples per picture, cut-offs and half-widths in cycles per picture."""

    name: str
    is_torgb: bool
    is_critically_sampled: bool
    use_fp16: bool
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    in_sampling_rate: int
    out_sampling_rate: int
    tmp_sampling_rate: int
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    conv_kernel: int
    up_factor: int
    down_factor: int
    up_taps: int
    down_taps: int
    down_radial: bool
    padding: tuple[int, int, int, int]


@dataclass(frozen=True)
class Schedule:
    """The Fourier input and every layer, ToRGB last."""

    input: InputSpec
    layers: tuple[LayerSpec, ...]


def layer_schedule(config: GeneratorConfig) -> Schedule:
    """Rates, sizes, cut-offs, channels, filters and paddings of every layer (figure 4c and appendix F.1)."""
    last_cutoff = config.img_resolution / 2
    last_stopband = last_cutoff * config.last_stopband_rel
    count = config.num_layers + 1
    exponents = np.minimum(np.arange(count) / (config.num_layers - config.num_critical), 1)
    cutoffs = config.first_cutoff * (last_cutoff / config.first_cutoff) ** exponents
    stopbands = config.first_stopband * (last_stopband / config.first_stopband) ** exponents
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, config.img_resolution))))
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + config.margin_size * 2
    sizes[-2:] = config.img_resolution
    channels = np.rint(np.minimum((config.channel_base / 2) / cutoffs, config.channel_max))
    if config.channels is not None:
        channels[:-1] = config.channels
    channels[-1] = config.img_channels
    if channels.min() < 1:
        raise ValueError(
            f"a layer would have {channels.min():.0f} channels: enlarge channel_base={config.channel_base} or "
            f"channel_max={config.channel_max}"
        )
    if rates.min() < 1 or half_widths.min() <= 0:
        raise ValueError(
            f"first_cutoff={config.first_cutoff}, first_stopband={config.first_stopband} and "
            f"last_stopband_rel={config.last_stopband_rel} leave a layer without a transition band at "
            f"img_resolution={config.img_resolution}: stop bands must lie above cut-offs"
        )
    first = InputSpec(int(channels[0]), int(sizes[0]), float(rates[0]), float(cutoffs[0]))
    entries = [
        (int(rates[i]), int(sizes[i]), float(cutoffs[i]), float(half_widths[i]), int(channels[i])) for i in range(count)
    ]
    layers = tuple(_layer(config, i, entries[max(i - 1, 0)], entries[i]) for i in range(count))
    return Schedule(first, layers)


def _layer(config: GeneratorConfig, index: int, source: tuple, target: tuple) -> LayerSpec:
    in_rate, in_size, in_cutoff, in_half_width, in_channels = source
    out_rate, out_size, out_cutoff, out_half_width, out_channels = target
    is_torgb = index == config.num_layers
    is_critical = index >= config.num_layers - config.num_critical
    tmp_rate = max(in_rate, out_rate) * (1 if is_torgb else config.lrelu_upsampling)
    up, down = tmp_rate // in_rate, tmp_rate // out_rate
    up_taps = config.filter_size * up if up > 1 and not is_torgb else 1
    down_taps = config.filter_size * down if down > 1 and not is_torgb else 1
    if max(up_taps, down_taps) > _MOST_TAPS:
        raise ValueError(
            f"num_layers={config.num_layers} raise the sampling rate by {up} in one layer, with filters of {up_taps} taps "
            f"(allowed are {_MOST_TAPS}): more layers, or a smaller filter_size or lrelu_upsampling, take smaller steps"
        )
    kernel = 1 if is_torgb else config.conv_kernel
    # Output samples sit at the centres of the input's, whatever the filters' lengths.
    total = (out_size - 1) * down + 1 - (in_size + kernel - 1) * up + up_taps + down_taps - 2
    low = (total + up) // 2
    return LayerSpec(
        name=f"L{index}_{out_size}_{out_channels}",
        is_torgb=is_torgb,
        is_critically_sampled=is_critical,
        use_fp16=out_rate * 2**config.num_fp16_res > config.img_resolution,
        in_channels=in_channels,
        out_channels=out_channels,
        in_size=in_size,
        out_size=out_size,
        in_sampling_rate=in_rate,
        out_sampling_rate=out_rate,
        tmp_sampling_rate=tmp_rate,
        in_cutoff=in_cutoff,
        out_cutoff=out_cutoff,
        in_half_width=in_half_width,
        out_half_width=out_half_width,
        conv_kernel=kernel,
        up_factor=up,
        down_factor=down,
        up_taps=up_taps,
        down_taps=down_taps,
        down_radial=config.use_radial_filters and not is_critical,
        padding=(low, total - low, low, total - low),
    )
