"""Functional layers: the oracle that the modules are held to, gone with the next commit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.networks.equalized import LRELU_GAIN, LRELU_SLOPE, lrelu, normalize_2nd_moment
from sg3x.networks.modulated_conv import modulated_conv2d
from sg3x.networks.naming import Params

__all__ = [
    "LRELU_GAIN",
    "LRELU_SLOPE",
    "Params",
    "dense",
    "init_dense",
    "lrelu",
    "modulated_conv2d",
    "normalize_2nd_moment",
]


def dense(params: Params, name: str, x: jax.Array, lr_multiplier: float = 1.0) -> jax.Array:
    """Fully connected layer `name` on x[N, in]: weight gain lr/sqrt(in), bias gain lr (StyleGAN2 equalised learning rate)."""
    w = params[f"{name}.weight"].astype(x.dtype)
    y = jnp.dot(x, w * (lr_multiplier / np.sqrt(w.shape[0]).item()))
    return y + params[f"{name}.bias"].astype(x.dtype) * lr_multiplier


def init_dense(
    key: jax.Array, name: str, fan_in: int, fan_out: int, lr_multiplier: float = 1.0, bias: float = 0.0
) -> Params:
    """N(0, 1) / lr weights and constant biases of `dense`."""
    w = jax.random.normal(key, (fan_in, fan_out)) / lr_multiplier
    return {f"{name}.weight": w, f"{name}.bias": jnp.full((fan_out,), bias / lr_multiplier, jnp.float32)}
