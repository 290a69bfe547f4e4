"""Perceptual path length in W: how much a picture changes for a very small step towards another.

Karras et al. 2019 (StyleGAN), section 4.1; as StyleGAN2 reports it (Karras et al. 2020, table 1): w of two random z,
linear interpolation, step 1e-4 at the end of the path (t = 0), whole picture, no truncation; the lowest and highest
percent are left out of the mean:

    l = E[ d(G(lerp(w1, w2, 0)), G(lerp(w1, w2, eps))) / eps² ],    d = LPIPS of VGG16

**PPL is that distance only.** LPIPS's weights are a file (`features.lpips_path`); without it the same mean with squared
differences of the run's own features is called `path_length_random` or `path_length_inception`, and is no PPL: it ranks
the smoothness of generators scored with the same extractor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from flax import nnx

from sg3x.drawing.drawable import Drawable
from sg3x.drawing.pictures import seed_latents
from sg3x.files.fingerprint import hash_file
from sg3x.metrics.features.extractor import Extractor, Progress
from sg3x.networks import Buffer, Generator, bind, definition, flat

EPSILON = 1e-4
_LARGEST = 256  # pictures are averaged down to this before LPIPS, as in StyleGAN's code

Embed = Callable[[np.ndarray], np.ndarray]
"""float32[N, R, R, 3] in 0..255 -> float[N, D], whose squared differences sum to the distance."""


def path_lengths(
    generator: Drawable,
    embed: Embed,
    *,
    pairs: int,
    first_seed: int = 0,
    batch: int = 16,
    progress: Progress | None = None,
) -> np.ndarray:
    """d / eps² of each pair: float64[pairs].

    Args:
        generator: an `sg3x.networks.Generator`, which is run in float32 whatever it was trained in: bfloat16 rounds
            by more than the step changes.
        embed: what the distance is measured in.
        pairs: how many; pair i goes from the latent of seed first_seed + 2i towards that of the next seed.
        batch: pairs per call of the generator; results do not depend on it beyond rounding.
    """
    if pairs < 1 or batch < 1:
        raise ValueError(f"{pairs} pairs in batches of {batch}; allowed are 1 and more of both")
    generator = _in_float32(generator)
    found = []
    for start in range(0, pairs, batch):
        # The last batch is filled up with its last pair, so that one shape is compiled.
        numbers = np.minimum(np.arange(start, start + batch), pairs - 1)
        seeds = [first_seed + 2 * int(i) + side for i in numbers for side in (0, 1)]
        ws = np.asarray(generator.mapping(seed_latents(seeds, generator.z_dim)), np.float32)
        here, there = ws[0::2], ws[1::2]
        step = here + np.float32(EPSILON) * (there - here)
        a, b = (_embedded(generator, embed, w) for w in (here, step))
        found.append((((a - b) / EPSILON) ** 2).sum(axis=1)[: pairs - start])
        if progress is not None:
            progress(min(start + batch, pairs), pairs)
    return np.concatenate(found)


def _in_float32(generator: Drawable) -> Drawable:
    if not isinstance(generator, Generator) or generator.config.activation_dtype == "float32":
        return generator
    config = replace(generator.config, activation_dtype="float32")
    exact: Generator = bind(definition(Generator, config), flat(generator, nnx.Param), flat(generator, Buffer))
    exact.synthesis.input.transform = generator.synthesis.input.transform
    return exact


def _embedded(generator: Drawable, embed: Embed, ws: np.ndarray) -> np.ndarray:
    # Neither rounded nor clipped to whole values: the step is far smaller than one of them.
    pictures = np.asarray(generator.synthesis(ws), np.float32) * np.float32(127.5) + np.float32(127.5)
    return np.asarray(embed(pictures), np.float64)


def mean_path_length(lengths: np.ndarray) -> float:
    """Mean between the 1st and the 99th percentile, as StyleGAN's code: a few paths cross a cliff and would decide it."""
    low = np.percentile(lengths, 1, method="lower")
    high = np.percentile(lengths, 99, method="higher")
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())


def embedding(extractor: Extractor, lpips_path: str | None) -> tuple[str, Embed, str | None]:
    """Name of the metric, what its distance is measured in, and the sha256 of LPIPS's file if there is one."""
    if lpips_path:
        embed, sha256 = load_lpips(lpips_path)
        return "ppl", embed, sha256
    name = {"": "path_length_inception"}.get(extractor.suffix, f"path_length{extractor.suffix}")
    return name, extractor.unrounded, None


def load_lpips(path: str | Path) -> tuple[Embed, str]:
    """LPIPS from a TorchScript file with the interface of StyleGAN's `vgg16.pt`: network(images in 0..255 as
    [N, 3, H, W], resize_images=False, return_lpips=True) -> features whose squared differences sum to LPIPS.

    Raises:
        ValueError: if there is no such file or it is no such network.
        MissingPackagesError: if torch is not installed.
    """
    from sg3x.metrics.features.inception_torch import INSTALL, MissingPackagesError

    if not Path(path).is_file():
        raise ValueError(
            f"features.lpips_path is {str(path)!r}, where there is no file; allowed is LPIPS as TorchScript"
        )
    try:
        import torch
    except ImportError as error:
        raise MissingPackagesError(f"PPL needs torch ({error}). Install it: {INSTALL}") from error
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise ValueError(
            f"features.lpips_path {str(path)!r} is not TorchScript: {str(error).splitlines()[0]}"
        ) from error

    def embed(images: np.ndarray) -> np.ndarray:
        factor = max(1, images.shape[1] // _LARGEST)
        n, size = len(images), images.shape[1] // factor
        small = images.reshape(n, size, factor, size, factor, 3).mean(axis=(2, 4))
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(small.transpose(0, 3, 1, 2), np.float32))
            return network(x, resize_images=False, return_lpips=True).numpy()

    return embed, hash_file(Path(path))
