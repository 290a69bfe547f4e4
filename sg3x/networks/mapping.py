"""Mapping network z, c -> w (StyleGAN2 and 3), and truncation."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sg3x.networks.layers import Params, dense, init_dense, lrelu, normalize_2nd_moment


def init_mapping(
    key: jax.Array, z_dim: int, c_dim: int, w_dim: int, num_layers: int, lr_multiplier: float, prefix: str = "mapping"
) -> Params:
    """Parameters under `prefix`: embed (when conditional) and fc0, fc1, ..."""
    params: Params = {}
    if c_dim > 0:
        params |= init_dense(jax.random.fold_in(key, 0), f"{prefix}.embed", c_dim, w_dim)
    fan_in = z_dim + (w_dim if c_dim > 0 else 0)
    for i in range(num_layers):
        params |= init_dense(jax.random.fold_in(key, i + 1), f"{prefix}.fc{i}", fan_in, w_dim, lr_multiplier)
        fan_in = w_dim
    return params


def apply_mapping(
    params: Params,
    z: jax.Array | None,
    c: jax.Array | None,
    num_layers: int,
    lr_multiplier: float,
    prefix: str = "mapping",
) -> jax.Array:
    """w[N, w_dim] of z[N, z_dim] (None: label only, as in the discriminator) and labels c[N, c_dim] (None: none)."""
    if z is not None and z.ndim != 2:
        raise ValueError(f"latents z have shape {z.shape}, expected [N, z_dim]")
    x = None if z is None else normalize_2nd_moment(z.astype(jnp.float32))
    if f"{prefix}.embed.weight" in params:
        c_dim = params[f"{prefix}.embed.weight"].shape[0]
        if c is None:
            raise ValueError(f"this network is conditional: give labels c, float[N, {c_dim}]")
        if c.ndim != 2 or c.shape[1] != c_dim or (z is not None and c.shape[0] != z.shape[0]):
            raise ValueError(f"labels c have shape {c.shape}, expected [{'N' if z is None else z.shape[0]}, {c_dim}]")
        y = normalize_2nd_moment(dense(params, f"{prefix}.embed", c.astype(jnp.float32)))
        x = y if x is None else jnp.concatenate([x, y], axis=1)
    assert x is not None
    for i in range(num_layers):
        x = lrelu(dense(params, f"{prefix}.fc{i}", x, lr_multiplier))
    return x


def truncate(
    ws: jax.Array, w_avg: jax.Array, truncation_psi: float | jax.Array, truncation_cutoff: int | None
) -> jax.Array:
    """ws[N, num_ws, w_dim] moved towards w_avg by 1 - psi, in the first `truncation_cutoff` copies (None: all)."""
    cutoff = ws.shape[1] if truncation_cutoff is None else truncation_cutoff
    truncated = w_avg + truncation_psi * (ws - w_avg)
    return jnp.where((jnp.arange(ws.shape[1]) < cutoff)[:, None], truncated, ws)
