"""Values for `auto` in params.yaml, from the formulas that StyleGAN2-ADA and StyleGAN3 train by, each with its origin."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from sg3x.config.sections import Params

Value = TypeVar("Value", float, float | None)


class Resolved(NamedTuple, Generic[Value]):
    """A value and where it comes from, in a few words."""

    value: Value
    origin: str


class Chosen(NamedTuple):
    """The keys that may be `auto`, as training uses them."""

    r1_gamma: Resolved[float]
    g_lr: Resolved[float]
    d_lr: Resolved[float]
    ema_kimg: Resolved[float | None]


def _r1_gamma(params: Params) -> Resolved[float]:
    value = 0.0002 * params.resolution**2 / params.batch_size
    return Resolved(value, "0.0002 * resolution^2 / batch_size, StyleGAN2-ADA; try factors of 2 to 8 around it")


def _ema_kimg(params: Params) -> Resolved[float | None]:
    return Resolved(params.batch_size * 10 / 32, "batch_size * 10 / 32, StyleGAN2-ADA and 3")


def resolve(params: Params) -> Chosen:
    """r1_gamma, g_lr, d_lr and ema_kimg as training uses them."""
    here = "params.yaml"
    gamma, g_lr, d_lr, ema_kimg = params.r1_gamma, params.g_lr, params.d_lr, params.ema_kimg
    return Chosen(
        r1_gamma=_r1_gamma(params) if gamma == "auto" else Resolved(gamma, here),
        g_lr=Resolved(0.0025, "StyleGAN3's generator") if g_lr == "auto" else Resolved(g_lr, here),
        d_lr=Resolved(0.002, "StyleGAN2 and 3's discriminator") if d_lr == "auto" else Resolved(d_lr, here),
        ema_kimg=_ema_kimg(params) if ema_kimg == "auto" else Resolved(ema_kimg, here),
    )


def describe(chosen: Chosen) -> str:
    """One line each, for the start of a run."""
    return "\n".join(
        f"  {name:10s}{_number(found.value):>10}   {found.origin}" for name, found in chosen._asdict().items()
    )


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.6g}"
