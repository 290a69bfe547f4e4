"""Layers with equalised learning rate (ProGAN, section 4.1; StyleGAN2, appendix B), and the functions between them.

Weights are stored as N(0, 1) and scaled when used, so that Adam moves all layers alike.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sg3x.ops import conv2d

LRELU_SLOPE = 0.2
LRELU_GAIN = np.sqrt(2).item()


class Dense(nnx.Module):
    """Fully connected layer: weight gain lr / sqrt(fan_in), bias gain lr.

    Weights [fan_in, fan_out] start as N(0, 1) / lr, biases as the constant `bias` / lr.
    """

    def __init__(
        self, fan_in: int, fan_out: int, *, key: jax.Array, lr_multiplier: float = 1.0, bias: float = 0.0
    ) -> None:
        self.weight = nnx.Param(jax.random.normal(key, (fan_in, fan_out)) / lr_multiplier)
        self.bias = nnx.Param(jnp.full((fan_out,), bias / lr_multiplier, jnp.float32))
        self.lr_multiplier = lr_multiplier

    def __call__(self, x: jax.Array) -> jax.Array:
        """float[N, fan_in] -> float[N, fan_out], in the dtype of x."""
        w = self.weight[...].astype(x.dtype)
        y = jnp.dot(x, w * (self.lr_multiplier / np.sqrt(w.shape[0]).item()))
        return y + self.bias[...].astype(x.dtype) * self.lr_multiplier


class Conv(nnx.Module):
    """Convolution, weight gain 1 / sqrt(fan in): the same size, or stride 2 of an already blurred x.

    Weights [kernel, kernel, fan_in, fan_out] start as N(0, 1), the bias, if there is one, as 0.
    """

    def __init__(self, kernel: int, fan_in: int, fan_out: int, *, key: jax.Array, bias: bool = True) -> None:
        self.weight = nnx.Param(jax.random.normal(key, (kernel, kernel, fan_in, fan_out)))
        self.bias = nnx.Param(jnp.zeros((fan_out,))) if bias else None

    def __call__(self, x: jax.Array, stride: int = 1) -> jax.Array:
        """float[N, H, W, fan_in] -> float[N, H', W', fan_out], in the dtype of x."""
        w = self.weight[...]
        kernel = w.shape[0]
        w = (w / np.sqrt(w.shape[0] * w.shape[1] * w.shape[2]).item()).astype(x.dtype)
        x = conv2d(x, w, padding=kernel // 2 if stride == 1 else 0, stride=stride)
        return x if self.bias is None else x + self.bias[...].astype(x.dtype)


def lrelu(x: jax.Array, gain: float = LRELU_GAIN, clamp: float | None = None) -> jax.Array:
    """Leaky ReLU (slope 0.2), gain, clamp."""
    x = jnp.where(x > 0, x, x * LRELU_SLOPE) * gain  # at 0 the reference's slope is 0.2
    return x if clamp is None else jnp.clip(x, -clamp, clamp)


def normalize_2nd_moment(x: jax.Array, eps: float = 1e-8) -> jax.Array:
    """x[N, D] divided by the root mean square of each row."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=1, keepdims=True) + eps)


def float32(x: Any) -> Any:
    """x as a float32 array on a device, by an explicit transfer; None stays None."""
    if x is None or (isinstance(x, jax.Array) and x.dtype == jnp.float32):
        return x
    return x.astype(jnp.float32) if isinstance(x, jax.Array) else jax.device_put(np.asarray(x, np.float32))


def initial_key(key: jax.Array | None, rngs: nnx.Rngs | None) -> jax.Array:
    """The key of a network's initial weights: given, or the next one of the stream `params`."""
    if (key is None) == (rngs is None):
        raise ValueError("give one source of the initial weights: key=jax.random.key(0), or rngs=nnx.Rngs(0)")
    return key if rngs is None else rngs.params()  # type: ignore[return-value]
