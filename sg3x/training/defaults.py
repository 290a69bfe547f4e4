"""Values for `auto` in params.yaml, from the formulas that StyleGAN2-ADA and StyleGAN3 train by, each with its origin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Resolved(NamedTuple):
    """A value and where it comes from, in a few words."""

    value: Any
    origin: str


def _r1_gamma(params: Any) -> Resolved:
    value = 0.0002 * params.resolution**2 / params.batch_size
    return Resolved(value, "0.0002 * resolution^2 / batch_size, StyleGAN2-ADA; try factors of 2 to 8 around it")


def _g_lr(params: Any) -> Resolved:
    return Resolved(0.0025, "StyleGAN3's generator")


def _d_lr(params: Any) -> Resolved:
    return Resolved(0.002, "StyleGAN2 and 3's discriminator")


def _ema_kimg(params: Any) -> Resolved:
    return Resolved(params.batch_size * 10 / 32, "batch_size * 10 / 32, StyleGAN2-ADA and 3")


FORMULAS: dict[str, Callable[[Any], Resolved]] = {
    "r1_gamma": _r1_gamma,
    "g_lr": _g_lr,
    "d_lr": _d_lr,
    "ema_kimg": _ema_kimg,
}


def resolve(params: Any) -> dict[str, Resolved]:
    """r1_gamma, g_lr, d_lr and ema_kimg as training uses them. `params` has these, `resolution` and `batch_size`."""
    found = {}
    for name, formula in FORMULAS.items():
        given = getattr(params, name)
        found[name] = formula(params) if given == "auto" else Resolved(given, "params.yaml")
    return found


def describe(resolved: dict[str, Resolved]) -> str:
    """One line each, for the start of a run."""
    return "\n".join(f"  {name:10s}{_number(value):>10}   {origin}" for name, (value, origin) in resolved.items())


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.6g}"
