"""The generator's input: Fourier features with a transform learned per image (StyleGAN3 paper, section 3.1, appendix C.4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.networks.layers import Params, dense
from sg3x.networks.schedule import InputSpec

NAME = "synthesis.input"


def init_fourier_input(key: jax.Array, spec: InputSpec, w_dim: int) -> tuple[Params, Params]:
    """Parameters and buffers. Frequencies g/|g| exp(-|g|^2/4) * bandwidth, phases uniform; the transform starts at identity."""
    k_freqs, k_phases, k_weight = (jax.random.fold_in(key, i) for i in range(3))
    freqs = jax.random.normal(k_freqs, (spec.channels, 2))
    radii = jnp.sqrt(jnp.sum(jnp.square(freqs), axis=1, keepdims=True))
    params = {
        f"{NAME}.weight": jax.random.normal(k_weight, (spec.channels, spec.channels)),
        f"{NAME}.affine.weight": jnp.zeros((w_dim, 4)),
        f"{NAME}.affine.bias": jnp.array([1.0, 0.0, 0.0, 0.0]),
    }
    buffers = {
        f"{NAME}.freqs": freqs / radii * jnp.exp(-jnp.square(radii) / 4) * spec.bandwidth,
        f"{NAME}.phases": jax.random.uniform(k_phases, (spec.channels,)) - 0.5,
    }
    return params, buffers


def learned_transform(params: Params, w: jax.Array) -> jax.Array:
    """Rotation and translation float32[N, 3, 3] predicted from w; (a, b, tx, ty) are all divided by |(a, b)|."""
    t = dense(params, f"{NAME}.affine", w)
    t = t / jnp.sqrt(jnp.sum(jnp.square(t[:, :2]), axis=1, keepdims=True))
    a, b, tx, ty = t[:, 0], t[:, 1], t[:, 2], t[:, 3]
    zero, one = jnp.zeros_like(a), jnp.ones_like(a)
    rotation = jnp.stack([a, -b, zero, b, a, zero, zero, zero, one], axis=1).reshape(-1, 3, 3)
    translation = jnp.stack([one, zero, -tx, zero, one, -ty, zero, zero, one], axis=1).reshape(-1, 3, 3)
    return jnp.matmul(rotation, translation, precision=jax.lax.Precision.HIGHEST)


def fourier_input(
    params: Params,
    buffers: Params,
    w: jax.Array,
    *,
    size: tuple[int, int],
    sampling_rate: float,
    bandwidth: float,
    transform: jax.Array | None = None,
) -> jax.Array:
    """Features float32[N, H, W, C] of w[N, w_dim].

    Args:
        size: (width, height) in samples, margins included.
        transform: float[3, 3] or [N, 3, 3], applied to the coordinates before the learned one (the inverse of what
            happens to the picture); None for identity.
    """
    high = jax.lax.Precision.HIGHEST
    matrix = learned_transform(params, w.astype(jnp.float32))
    if transform is not None:
        matrix = jnp.matmul(matrix, jnp.asarray(transform, jnp.float32), precision=high)
    freqs, phases = buffers[f"{NAME}.freqs"], buffers[f"{NAME}.phases"]
    phases = phases[None] + jnp.einsum("cf,nf->nc", freqs, matrix[:, :2, 2], precision=high)
    freqs = jnp.einsum("cf,nfg->ncg", freqs, matrix[:, :2, :2], precision=high)
    # Frequencies that the transform pushes towards Nyquist fade out: the input never aliases.
    norm = jnp.sqrt(jnp.sum(jnp.square(freqs), axis=2))
    amplitudes = jnp.clip(1 - (norm - bandwidth) / (sampling_rate / 2 - bandwidth), 0, 1)
    # Pixel centres; the unit square is the final picture, the margins lie beyond it.
    width, height = size
    x = ((np.arange(width) + 0.5) / width - 0.5) * (width / sampling_rate)
    y = ((np.arange(height) + 0.5) / height - 0.5) * (height / sampling_rate)
    along_x = freqs[:, None, None, :, 0] * x.astype(np.float32)[None, None, :, None]
    along_y = freqs[:, None, None, :, 1] * y.astype(np.float32)[None, :, None, None]
    features = jnp.sin(2 * np.pi * (along_x + along_y + phases[:, None, None, :])) * amplitudes[:, None, None, :]
    weight = params[f"{NAME}.weight"] / np.sqrt(freqs.shape[1]).item()
    return jnp.dot(features, weight, precision=high)
