"""The colours: coats, points, eyes and backdrops, chosen by eye. All are sRGB in 0..1."""

from typing import NamedTuple

Color = tuple[float, float, float]


def rgb(hex6: str) -> Color:
    """'ff8800' -> (1.0, 0.533.., 0.0)."""
    return tuple(int(hex6[i : i + 2], 16) / 255 for i in (0, 2, 4))  # type: ignore[return-value]


def mix(a: Color, b: Color, t: float) -> Color:
    """Colour a fraction `t` of the way from `a` to `b`."""
    return tuple(p + (q - p) * t for p, q in zip(a, b, strict=True))  # type: ignore[return-value]


def contrast(a: Color, b: Color) -> float:
    """Visible difference of two colours, about 0..1: brightness counts most, hue some."""
    r, g, bl = (p - q for p, q in zip(a, b, strict=True))
    luma = 0.30 * r + 0.59 * g + 0.11 * bl
    chroma = ((r - luma) ** 2 + (g - luma) ** 2 + (bl - luma) ** 2) ** 0.5
    return abs(luma) + 0.5 * chroma


class Coat(NamedTuple):
    """A coat: its main colour, the colour of its markings, its pale parts (muzzle, chin) and the nose leather."""

    base: Color
    dark: Color
    light: Color
    nose: Color


def _coat(base: str, dark: str, light: str, nose: str) -> Coat:
    return Coat(rgb(base), rgb(dark), rgb(light), rgb(nose))


COATS: dict[str, Coat] = {
    "ginger": _coat("e9974a", "b65a1e", "fde6c8", "e08a80"),
    "cream": _coat("f0d3a4", "cf9c60", "fff4e2", "e79c92"),
    "brown": _coat("a97f58", "533825", "ecd6b8", "b8665a"),
    "silver": _coat("b3b8c1", "52565f", "f3f3f4", "cf7f7c"),
    "blue": _coat("7f8b9f", "4c566a", "c9d1dc", "a0808a"),
    "black": _coat("3f3c47", "201e26", "6f6b7a", "755660"),
    "white": _coat("eee7dd", "d8c8b8", "fffdf9", "f0a3a0"),
    "lilac": _coat("c3adb0", "8d7479", "efe3e2", "c58c8e"),
    "chocolate": _coat("7a5444", "43291f", "c9a48d", "7a4a44"),
}

# Which coats each pattern is seen on; repeats make a coat commoner.
PATTERN_COATS: dict[str, tuple[str, ...]] = {
    "solid": ("blue", "black", "white", "ginger", "cream", "chocolate", "lilac"),
    "tabby": ("ginger", "ginger", "brown", "brown", "silver", "silver", "cream"),
    "calico": ("white",),
    "point": ("cream", "white"),
    "tuxedo": ("black", "black", "blue", "ginger", "brown"),
}

POINTS: dict[str, Color] = {
    "seal": rgb("4c382f"),
    "blue": rgb("7d879a"),
    "chocolate": rgb("7d5541"),
    "flame": rgb("d8843f"),
}

CALICO_ORANGE = rgb("e38f42")
CALICO_BLACK = rgb("3d3840")
WHITE_FUR = rgb("f3ede4")

# iris: (outer, inner)
EYES: dict[str, tuple[Color, Color]] = {
    "green": (rgb("4f9d3c"), rgb("b4e06a")),
    "gold": (rgb("d9951a"), rgb("ffdf66")),
    "copper": (rgb("d86f1c"), rgb("ffc766")),
    "blue": (rgb("2f86cf"), rgb("9adcff")),
    "aqua": (rgb("2a9f96"), rgb("9cf0d8")),
}

INNER_EAR = rgb("eda79e")

# backdrop: (upper, lower)
BACKDROPS: dict[str, tuple[Color, Color]] = {
    "sky": (rgb("a9d3ee"), rgb("d8ecf5")),
    "mint": (rgb("9fd8c0"), rgb("d9f2e2")),
    "blush": (rgb("f2b8b5"), rgb("fbe0d8")),
    "butter": (rgb("f6d98a"), rgb("fdf0c6")),
    "lavender": (rgb("b9aee0"), rgb("e2dcf4")),
    "teal": (rgb("1f6f78"), rgb("48a29c")),
    "navy": (rgb("25345c"), rgb("4a62a0")),
    "plum": (rgb("5a2f5c"), rgb("93588e")),
    "forest": (rgb("2c5a41"), rgb("5d9464")),
    "brick": (rgb("7f362f"), rgb("b5624e")),
}
