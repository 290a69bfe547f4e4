"""Pictures of seeds and of latents, in batches of one shape so that the generator compiles once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from sg3x.drawing.drawable import Drawable
from sg3x.networks import Generator, on_devices


def seed_latents(seeds: Sequence[int], z_dim: int) -> np.ndarray:
    """float32[len(seeds), z_dim]: z of seed s is ``RandomState(s).randn(1, z_dim)``, as in NVIDIA's tools."""
    if len(seeds) == 0:
        raise ValueError("seeds is an empty list; allowed is at least one seed in 0 .. 2**32 - 1")
    return np.concatenate([np.random.RandomState(seed).randn(1, z_dim) for seed in seeds]).astype(np.float32)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """``round(x * 127.5 + 128)`` clipped to 0..255.

    Args:
        images: float[..., H, W, C], nominally in [-1, 1].

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: if a value is NaN or infinite: the network is broken, and black squares would hide it.
    """
    return np.clip(np.rint(_scaled(images)), 0, 255).astype(np.uint8)


def to_uint8_truncated(images: np.ndarray) -> np.ndarray:
    """x * 127.5 + 128, clipped, fraction dropped: byte for byte what NVIDIA's gen_images.py saves.

    Everything else here rounds (`to_uint8`); the two differ by one at most.
    """
    return np.clip(_scaled(images), 0, 255).astype(np.uint8)


def _scaled(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images, np.float32)
    if not np.isfinite(images).all():
        count = np.size(images) - np.isfinite(images).sum()
        raise ValueError(
            f"{count} of {images.size} values of the images are NaN or infinite; allowed are finite numbers"
        )
    return images * np.float32(127.5) + np.float32(128.0)


def draw(
    generator: Drawable,
    ws: np.ndarray,
    *,
    batch: int = 8,
    transform: np.ndarray | None = None,
    quantise: Callable[[np.ndarray], np.ndarray] = to_uint8,
) -> Iterator[np.ndarray]:
    """The pictures of latents float32[N, num_ws, w_dim], one uint8[H, W, C] after the other.

    Args:
        batch: pictures per call of the generator; the last batch is filled up, so that one shape is compiled.
        transform: of the input coordinates, one float[3, 3] for all or float[N, 3, 3]; see `sg3x.drawing.motion`.
        quantise: float32 pictures to uint8.
    """
    _check_batch(batch)
    ws, (generator, at_once) = np.asarray(ws), on_all_devices(generator, batch, len(ws))
    for start in range(0, len(ws), at_once):
        rows = np.minimum(np.arange(start, start + at_once), len(ws) - 1)
        moved = transform if transform is None or np.ndim(transform) == 2 else np.asarray(transform)[rows]
        images = generator.synthesis(ws[rows]) if moved is None else generator.synthesis(ws[rows], transform=moved)
        yield from quantise(np.asarray(images))[: len(ws) - start]


def sample_images(
    generator: Drawable,
    seeds: Sequence[int],
    *,
    batch: int,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> Iterator[np.ndarray]:
    """uint8[n, R, R, C] batches, in the order of the seeds; the last one holds what remains.

    Picture s does not depend on which others share its batch beyond rounding; for equal bytes keep `batch` the same. On
    several devices each computes a batch of its own at the same time: the same bytes.
    """
    _check_batch(batch)
    generator, at_once = on_all_devices(generator, batch, len(seeds))
    for start in range(0, len(seeds), at_once):
        chunk = list(seeds[start : start + at_once])
        z = seed_latents(chunk + [chunk[-1]] * (at_once - len(chunk)), generator.z_dim)
        images = generator(z, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        pictures = to_uint8(np.asarray(images))[: len(chunk)]
        yield from (pictures[i : i + batch] for i in range(0, len(chunk), batch))


def on_all_devices(generator: Drawable, batch: int, pictures: int) -> tuple[Drawable, int]:
    """A `Generator` with a batch on each device of this process, or on as many as there are batches; and how many pictures it
    then computes at once."""
    if not isinstance(generator, Generator) or jax.local_device_count() == 1:
        return generator, batch
    devices = max(1, min(jax.local_device_count(), -(-pictures // batch)))
    return on_devices(generator, devices), batch * devices


def _check_batch(batch: int) -> None:
    if batch < 1:
        raise ValueError(f"batch={batch}; allowed are 1 and more (batch_size)")
