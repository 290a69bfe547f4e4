"""The generator's input: Fourier features with a transform learned per image (StyleGAN3, sections 3.1 and 3.2, appendix F.1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sg3x.networks.equalized import Dense
from sg3x.networks.schedule import InputSpec
from sg3x.networks.variables import Buffer, Transform

HIGHEST = jax.lax.Precision.HIGHEST


class SynthesisInput(nnx.Module):
    """w -> Fourier features of an infinite plane, moved as w says.

    Frequencies start as g/|g| exp(-|g|²/4) * bandwidth for standard normal g, phases uniform, the learned transform as identity.
    """

    def __init__(self, spec: InputSpec, w_dim: int, *, key: jax.Array) -> None:
        k_freqs, k_phases, k_weight = (jax.random.fold_in(key, i) for i in range(3))
        freqs = jax.random.normal(k_freqs, (spec.channels, 2))
        radii = jnp.sqrt(jnp.sum(jnp.square(freqs), axis=1, keepdims=True))
        self.spec = spec
        self.weight = nnx.Param(jax.random.normal(k_weight, (spec.channels, spec.channels)))
        self.affine = Dense(w_dim, 4, key=key)
        self.affine.weight[...] = jnp.zeros((w_dim, 4))
        self.affine.bias[...] = jnp.array([1.0, 0.0, 0.0, 0.0])
        self.freqs = Buffer(freqs / radii * jnp.exp(-jnp.square(radii) / 4) * spec.bandwidth)
        self.phases = Buffer(jax.random.uniform(k_phases, (spec.channels,)) - 0.5)
        self.transform: Transform | None = nnx.data(None)

    def __call__(
        self, w: jax.Array, transform: jax.Array | None = None, size: tuple[int, int] | None = None
    ) -> jax.Array:
        """Features float32[N, H, W, C] of w[N, w_dim].

        Args:
            transform: float[3, 3] or [N, 3, 3], applied to the coordinates before the learned one (the inverse of what
                happens to the picture); None: the network's own, or identity.
            size: (width, height) in samples, margins included; None: the schedule's.
        """
        spec = self.spec
        matrix = self.learned_transform(w.astype(jnp.float32))
        if transform is None and self.transform is not None:
            transform = self.transform[...]
        if transform is not None:
            matrix = jnp.matmul(matrix, jnp.asarray(transform, jnp.float32), precision=HIGHEST)
        freqs, phases = self.freqs[...], self.phases[...]
        phases = phases[None] + jnp.einsum("cf,nf->nc", freqs, matrix[:, :2, 2], precision=HIGHEST)
        freqs = jnp.einsum("cf,nfg->ncg", freqs, matrix[:, :2, :2], precision=HIGHEST)
        # Frequencies that the transform pushes towards Nyquist fade out: the input never aliases.
        norm = jnp.sqrt(jnp.sum(jnp.square(freqs), axis=2))
        amplitudes = jnp.clip(1 - (norm - spec.bandwidth) / (spec.sampling_rate / 2 - spec.bandwidth), 0, 1)
        # Pixel centres; the unit square is the final picture, the margins lie beyond it.
        width, height = (spec.size, spec.size) if size is None else size
        x = ((np.arange(width) + 0.5) / width - 0.5) * (width / spec.sampling_rate)
        y = ((np.arange(height) + 0.5) / height - 0.5) * (height / spec.sampling_rate)
        along_x = freqs[:, None, None, :, 0] * x.astype(np.float32)[None, None, :, None]
        along_y = freqs[:, None, None, :, 1] * y.astype(np.float32)[None, :, None, None]
        features = jnp.sin(2 * np.pi * (along_x + along_y + phases[:, None, None, :])) * amplitudes[:, None, None, :]
        weight = self.weight[...] / np.sqrt(freqs.shape[1]).item()
        return jnp.dot(features, weight, precision=HIGHEST)

    def learned_transform(self, w: jax.Array) -> jax.Array:
        """Rotation and translation float32[N, 3, 3] predicted from w; (a, b, tx, ty) are all divided by |(a, b)|."""
        t = self.affine(w)
        t = t / jnp.sqrt(jnp.sum(jnp.square(t[:, :2]), axis=1, keepdims=True))
        a, b, tx, ty = t[:, 0], t[:, 1], t[:, 2], t[:, 3]
        zero, one = jnp.zeros_like(a), jnp.ones_like(a)
        rotation = jnp.stack([a, -b, zero, b, a, zero, zero, zero, one], axis=1).reshape(-1, 3, 3)
        translation = jnp.stack([one, zero, -tx, zero, one, -ty, zero, zero, one], axis=1).reshape(-1, 3, 3)
        return jnp.matmul(rotation, translation, precision=HIGHEST)
