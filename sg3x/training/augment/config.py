"""Settings of the augmentations: enabled or not, how often, how strongly. Reference: Karras et al. 2020 (ADA), appendix B."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

_BLIT = ("xflip", "rotate90", "xint")
_GEOM = ("scale", "rotate", "aniso", "xfrac")
_COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")

PRESETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "blit": _BLIT,
    "geom": _GEOM,
    "color": _COLOR,
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
    "bg": _BLIT + _GEOM,
    "bgc": _BLIT + _GEOM + _COLOR,  # what ADA trains with by default
    "bgcf": _BLIT + _GEOM + _COLOR + ("imgfilter",),
    "bgcfn": _BLIT + _GEOM + _COLOR + ("imgfilter", "noise"),
    "bgcfnc": _BLIT + _GEOM + _COLOR + ("imgfilter", "noise", "cutout"),
}

_FRACTIONS = ("xint_max", "rotate_max", "hue_max", "cutout_size")  # of a size or of a half turn: from 0 to 1


@dataclass(frozen=True)
class AugmentConfig:
    """The augmentation pipe's families and strengths. A family with multiplier m fires with probability m * p.

    Multipliers default to 0, which switches the family off. Strengths have ADA's values. Raises ValueError for a
    negative or non-finite number, for a fraction above 1 and for anything but four band multipliers.
    """

    # fmt: off
    # Pixel blitting: moves pixels, resamples nothing by itself.
    xflip: float = 0.0            # mirror left and right
    rotate90: float = 0.0         # turn by a multiple of 90 degrees
    xint: float = 0.0             # shift by whole pixels
    xint_max: float = 0.125       # largest whole-pixel shift, fraction of the size

    # General geometric transformations.
    scale: float = 0.0            # isotropic scaling
    rotate: float = 0.0           # rotation by any angle
    aniso: float = 0.0            # anisotropic scaling
    xfrac: float = 0.0            # shift by fractions of a pixel
    scale_std: float = 0.2        # of log2 of the scale
    rotate_max: float = 1.0       # largest angle, fraction of 180 degrees
    aniso_std: float = 0.2        # of log2 of the stretch
    xfrac_std: float = 0.125      # of the shift, fraction of the size

    # Colour transformations.
    brightness: float = 0.0       # add a constant
    contrast: float = 0.0         # multiply
    lumaflip: float = 0.0         # invert luma, keep chroma
    hue: float = 0.0              # rotate about the luma axis
    saturation: float = 0.0       # scale chroma
    brightness_std: float = 0.2   # of the constant (images span [-1, 1])
    contrast_std: float = 0.5     # of log2 of the factor
    hue_max: float = 1.0          # largest hue rotation, fraction of 180 degrees
    saturation_std: float = 1.0   # of log2 of the factor

    # Image-space filtering.
    imgfilter: float = 0.0        # amplify or damp octave bands
    imgfilter_bands: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)  # multipliers of the bands, lowest first
    imgfilter_std: float = 1.0    # of log2 of a band's gain

    # Image-space corruptions.
    noise: float = 0.0            # add white noise
    cutout: float = 0.0           # blank a rectangle
    noise_std: float = 0.1        # of the noise's own standard deviation
    cutout_size: float = 0.5      # side of the rectangle, fraction of the size
    # fmt: on

    def __post_init__(self) -> None:
        bands = self.imgfilter_bands
        object.__setattr__(self, "imgfilter_bands", tuple(bands))  # YAML gives a list; a static jit argument must hash
        if len(bands) != 4:
            raise ValueError(
                f"AugmentConfig.imgfilter_bands needs 4 multipliers, one per band (params.yaml: augment), got {bands!r}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                _check_number(field.name, number)

    @classmethod
    def preset(cls, name: str) -> "AugmentConfig":
        """The pipe of that name, every family of it with multiplier 1. Raises ValueError for an unknown name."""
        if name not in PRESETS:
            raise ValueError(f"augment={name!r} is no augmentation pipe; choose one of {', '.join(PRESETS)}")
        multipliers: dict[str, Any] = dict.fromkeys(PRESETS[name], 1.0)
        return replace(cls(), **multipliers)

    @classmethod
    def of(cls, config: "AugmentConfig | Mapping[str, Any] | str") -> "AugmentConfig":
        """A configuration, its fields by name, or the name of a preset, as a configuration. Unknown fields: ValueError."""
        if isinstance(config, AugmentConfig):
            return config
        if isinstance(config, str):
            return cls.preset(config)
        known = {field.name for field in fields(cls)}
        if unknown := sorted(config.keys() - known):
            raise ValueError(f"AugmentConfig has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**config)

    @property
    def enabled(self) -> bool:
        """True if any family is on."""
        return any(getattr(self, name) > 0 for name in PRESETS["bgcfnc"])

    @property
    def geometric(self) -> bool:
        """True if any family that moves pixels is on; if so every image is resampled."""
        return any(getattr(self, name) > 0 for name in PRESETS["bg"])

    @property
    def colorful(self) -> bool:
        """True if any family that changes colours is on."""
        return any(getattr(self, name) > 0 for name in PRESETS["color"])


def _check_number(name: str, value: float) -> None:
    """Raises ValueError unless value is a number the field may have."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ValueError(
            f"AugmentConfig.{name} must be a finite number of at least 0 (params.yaml: augment), got {value!r}"
        )
    if name in _FRACTIONS and value > 1:
        raise ValueError(f"AugmentConfig.{name} must be a fraction from 0 to 1 (params.yaml: augment), got {value!r}")
