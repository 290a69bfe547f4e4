"""The terms that training minimises, and the blur of what D sees: the formulas of StyleGAN2 and 3, each a few lines."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sg3x.signal.banded import along_h, along_w


def generator_loss(fake_logits: jax.Array) -> jax.Array:
    """Non-saturating logistic loss, mean softplus(-D(G(z))) (Goodfellow et al. 2014)."""
    return jnp.mean(jax.nn.softplus(-fake_logits))


def discriminator_loss(fake_logits: jax.Array, real_logits: jax.Array) -> jax.Array:
    """Logistic loss, mean softplus(D(G(z))) + mean softplus(-D(x))."""
    return jnp.mean(jax.nn.softplus(fake_logits)) + jnp.mean(jax.nn.softplus(-real_logits))


def r1_loss(penalty: jax.Array, gamma: float, interval: int) -> jax.Array:
    """Lazy R1, interval * gamma / 2 * mean penalty: every `interval` steps, and so many times as strong."""
    return jnp.mean(penalty) * (gamma / 2) * interval


def r1_penalty(logits_of: Callable[[jax.Array], jax.Array], images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """|dD(x)/dx|^2 at each real image (Mescheder et al. 2018), float32[N], and the logits.

    The images are those before blur and augmentation; both are part of `logits_of`.
    """

    def total(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = logits_of(images)
        return jnp.sum(logits), logits

    gradient, logits = jax.grad(total, has_aux=True)(images)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3)), logits


def blur_sigma(image_counter: jax.Array | int, init_sigma: float, fade_kimg: float) -> jax.Array:
    """Width of the blur that both D's inputs start with in configuration R (StyleGAN3 paper, appendix D.2), in pixels."""
    if fade_kimg <= 0:
        return jnp.float32(0)
    faded = 1 - jnp.asarray(image_counter).astype(jnp.float32) / jnp.float32(fade_kimg * 1000)
    return jnp.maximum(faded, 0) * jnp.float32(init_sigma)


def blur(images: jax.Array, sigma: jax.Array, max_sigma: float) -> jax.Array:
    """Gaussian-like blur 2^-((k / sigma)^2), |k| <= floor(3 sigma), zeros outside, of images[N, H, W, C].

    The kernel's length is fixed by `max_sigma` and only its taps change, so that the fade compiles once.
    """
    reach = int(max_sigma * 3)
    if reach == 0:
        return images
    k = jnp.arange(-reach, reach + 1, dtype=jnp.float32)
    safe = jnp.maximum(sigma, 1e-6)
    taps = jnp.where(jnp.abs(k) <= jnp.floor(sigma * 3), jnp.exp2(-jnp.square(k / safe)), 0)
    taps = taps / jnp.sum(taps)

    def matrix(size: int) -> jax.Array:
        offset = jnp.arange(size)[None, :] - jnp.arange(size)[:, None] + reach
        inside = (offset >= 0) & (offset <= 2 * reach)
        return jnp.where(inside, taps[jnp.clip(offset, 0, 2 * reach)], 0)

    return along_w(matrix(images.shape[2]), along_h(matrix(images.shape[1]), images))
