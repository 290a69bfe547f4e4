"""Mapping network z, c -> w (StyleGAN2 and 3), and truncation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from sg3x.networks.compiled import compiled
from sg3x.networks.equalized import Dense, float32, lrelu, normalize_2nd_moment
from sg3x.networks.variables import RunningMean


class MappingNetwork(nnx.Module):
    """z, c -> w: fully connected layers on the normalised latent (StyleGAN2; StyleGAN3, section 3.1).

    The discriminator has one without latents, copies and running mean, which maps a label alone.
    """

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_layers: int,
        lr_multiplier: float,
        num_ws: int | None = None,
        w_avg_beta: float | None = None,
        *,
        key: jax.Array,
    ) -> None:
        self.z_dim, self.c_dim, self.num_layers = z_dim, c_dim, num_layers
        self.num_ws, self.w_avg_beta = num_ws, w_avg_beta
        self.embed = Dense(c_dim, w_dim, key=jax.random.fold_in(key, 0)) if c_dim > 0 else None
        fan_in = z_dim + (w_dim if c_dim > 0 else 0)
        for i in range(num_layers):
            fc = Dense(fan_in, w_dim, key=jax.random.fold_in(key, i + 1), lr_multiplier=lr_multiplier)
            setattr(self, f"fc{i}", fc)
            fan_in = w_dim
        self.w_avg = None if num_ws is None else RunningMean(jnp.zeros((w_dim,)))

    def __call__(
        self,
        z: Any,
        c: Any = None,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
        *,
        track: bool = False,
    ) -> jax.Array:
        """ws float32[N, num_ws, w_dim] of latents z[N, z_dim] and labels c[N, c_dim] (None: an unconditional network).

        Compiled once per shape. Truncation moves the first `truncation_cutoff` ws (None: all) towards w_avg: psi 1 leaves
        them, 0 gives w_avg. `track` moves w_avg before that (training of D only).
        """
        z, c = float32(z), float32(c)
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"latents z have shape {z.shape}, expected [N, {self.z_dim}]")
        if truncation_cutoff is not None and truncation_cutoff < 0:
            raise ValueError(f"truncation_cutoff={truncation_cutoff} must be None or at least 0")
        # None: no truncation at all, not one by 1 that rounds.
        literal = isinstance(truncation_psi, (int, float)) and truncation_psi == 1
        psi = None if literal else float32(truncation_psi)
        return _map(self, z, c, psi, cutoff=truncation_cutoff, track=track)

    def hidden(self, z: jax.Array | None, c: jax.Array | None) -> jax.Array:
        """w[N, w_dim] of z[N, z_dim] (None: label only, as in the discriminator) and labels c[N, c_dim]."""
        x = None if z is None else normalize_2nd_moment(z)
        if self.embed is not None:
            if c is None:
                raise ValueError(f"this network is conditional: give labels c, float[N, {self.c_dim}]")
            if c.ndim != 2 or c.shape[1] != self.c_dim or (z is not None and c.shape[0] != z.shape[0]):
                n = "N" if z is None else z.shape[0]
                raise ValueError(f"labels c have shape {c.shape}, expected [{n}, {self.c_dim}]")
            y = normalize_2nd_moment(self.embed(c))
            x = y if x is None else jnp.concatenate([x, y], axis=1)
        assert x is not None
        for i in range(self.num_layers):
            x = lrelu(getattr(self, f"fc{i}")(x))
        return x

    def track(self, w: jax.Array) -> None:
        """Moves w_avg towards the batch's mean."""
        assert self.w_avg is not None and self.w_avg_beta is not None
        mean = jnp.mean(jax.lax.stop_gradient(w), axis=0)
        self.w_avg.set_value(mean + self.w_avg_beta * (self.w_avg[...] - mean))


@compiled("cutoff", "track")
def _map(
    network: MappingNetwork,
    z: jax.Array,
    c: jax.Array | None,
    psi: jax.Array | None,
    cutoff: int | None,
    track: bool,
) -> jax.Array:
    assert network.w_avg is not None and network.num_ws is not None
    w = network.hidden(z, c)
    if track:  # before truncation, as the reference does
        network.track(w)
    ws = jnp.broadcast_to(w[:, None], (w.shape[0], network.num_ws, w.shape[1]))
    return ws if psi is None else truncate(ws, network.w_avg[...], psi, cutoff)


def truncate(
    ws: jax.Array, w_avg: jax.Array, truncation_psi: float | jax.Array, truncation_cutoff: int | None
) -> jax.Array:
    """ws[N, num_ws, w_dim] moved towards w_avg by 1 - psi, in the first `truncation_cutoff` copies (None: all)."""
    cutoff = ws.shape[1] if truncation_cutoff is None else truncation_cutoff
    truncated = w_avg + truncation_psi * (ws - w_avg)
    return jnp.where((jnp.arange(ws.shape[1]) < cutoff)[:, None], truncated, ws)
