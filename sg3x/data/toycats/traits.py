"""Traits of one cat, all drawn from (seed, index), before a single pixel is painted."""

from dataclasses import dataclass

from sg3x.data.toycats.dice import Dice
from sg3x.data.toycats.palette import (
    BACKDROPS,
    CALICO_BLACK,
    CALICO_ORANGE,
    COATS,
    PATTERN_COATS,
    POINTS,
    Color,
    contrast,
    mix,
)

PATTERNS = tuple(PATTERN_COATS)
BACKGROUNDS = ("glow", "horizon", "bokeh")
PUPILS = ("slit", "round")

MIN_CONTRAST = 0.34  # between a coat and its backdrop: a tiny GAN must find the silhouette
MIN_EAR_CONTRAST = 0.22  # between ears of another colour and the backdrop
_FREQUENT_PATTERNS = ("tabby", "tabby", "solid", "calico", "point", "tuxedo")


@dataclass(frozen=True)
class Traits:
    """Everything that tells one toy cat from another. Lengths are fractions of half the frame unless said otherwise."""

    pattern: str
    coat: str
    points: str  # colour of the points; "none" but for pattern "point"
    eye_color: str
    pupil: str
    pupil_width: float  # of the pupil, as a fraction of the eye's half width
    background: str  # how the backdrop is painted
    backdrop: str  # its colours
    roll: float  # degrees, clockwise
    yaw: float  # -1..1, positive looks to the picture's right
    scale: float  # half the head's width
    shift_x: float
    shift_y: float
    ear_height: float  # factor
    ear_spread: float  # factor
    eye_size: float  # factor
    lid: float  # 0 wide awake .. 1 sleepy
    light_x: float  # -1 light from the left .. 1 from the right
    light: float  # brightness factor
    warmth: float  # -1 cold .. 1 warm light
    collar: str  # colour, or "none"


def _eye_colors(pattern: str, coat: str) -> tuple[str, ...]:
    if pattern == "point":
        return ("blue",)
    if coat == "white" and pattern == "solid":
        return ("blue", "green", "gold", "aqua")
    if coat in ("black", "blue"):
        return ("gold", "gold", "copper", "green")
    return ("green", "green", "gold", "aqua", "copper")


def _ear_colors(pattern: str, points: str) -> tuple[Color, ...]:
    """Colours of the ears where they are not the coat's."""
    return {"point": (POINTS.get(points, CALICO_BLACK),), "calico": (CALICO_ORANGE, CALICO_BLACK)}.get(pattern, ())


def backdrops_for(pattern: str, coat: str, points: str) -> tuple[str, ...]:
    """Names of the backdrops that coat and ears stand out from."""
    wanted = [(COATS[coat].base, MIN_CONTRAST), *((ear, MIN_EAR_CONTRAST) for ear in _ear_colors(pattern, points))]
    return tuple(
        name
        for name, (upper, lower) in BACKDROPS.items()
        if all(contrast(mix(upper, lower, 0.5), color) > least for color, least in wanted)
    )


def draw_traits(seed: int, index: int) -> Traits:
    """The traits of cat `index` of the family `seed`."""
    dice = Dice(seed, index)
    pattern = dice.pick("pattern", _FREQUENT_PATTERNS)
    coat = dice.pick("coat", PATTERN_COATS[pattern])
    points = dice.pick("points", tuple(POINTS)) if pattern == "point" else "none"
    pupil = dice.pick("pupil", ("round", "round", "slit"))
    pupil_widths = (0.47, 0.60) if pupil == "round" else (0.17, 0.26)
    return Traits(
        pattern=pattern,
        coat=coat,
        points=points,
        eye_color=dice.pick("eye_color", _eye_colors(pattern, coat)),
        pupil=pupil,
        pupil_width=dice.uniform("pupil_width", *pupil_widths),
        background=dice.pick("background", BACKGROUNDS),
        backdrop=dice.pick("backdrop", backdrops_for(pattern, coat, points)),
        roll=dice.bell("roll", 9.0),
        yaw=dice.bell("yaw", 1.0),
        scale=round(0.82 + dice.bell("scale", 0.04), 5),
        shift_x=dice.bell("shift_x", 0.05),
        shift_y=round(0.15 + dice.bell("shift_y", 0.04), 5),
        ear_height=round(1.0 + dice.bell("ear_height", 0.10), 5),
        ear_spread=round(1.0 + dice.bell("ear_spread", 0.06), 5),
        eye_size=round(1.0 + dice.bell("eye_size", 0.08), 5),
        lid=dice.uniform("lid", 0.0, 1.0),
        light_x=dice.uniform("light_x", -1.0, 1.0),
        light=round(1.0 + dice.bell("light", 0.08), 5),
        warmth=dice.bell("warmth", 1.0),
        collar=dice.pick("collar", ("none", "none", "none", "red", "blue", "green")),
    )
