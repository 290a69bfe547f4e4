"""Inception v3 in JAX, from the weights of the same TorchScript file that clean-fid runs: for accelerators without torch.

Szegedy et al. 2016, with what the network of 2015-12-05 that FID is defined by does otherwise: average pooling does not
count padding, the last block pools by maximum, and normalisation has epsilon 0.001 (Heusel et al. 2017; Parmar et al. 2022
for the protocol). The sequence of convolutions is fixed; their widths come from the file.

The file's names are not relied upon: convolutions are taken in the order in which its modules hold them, each with the
vectors beside it, and every shape must fit. Where two convolutions of a block have the same shape only the order tells
them apart, so `check_against_torch` compares features with the file's own code where torch is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from PIL import Image

from sg3x.interop.torchscript import Module, TorchScriptError, read_torchscript, tensors_of
from sg3x.metrics.devices import split_over_devices
from sg3x.metrics.features.inception_torch import checked_file
from sg3x.metrics.features.random import check_images

NAME = "inception-v3-jax"
COUNT = 94  # convolutions of Inception v3 without its classifier and auxiliary head
TOLERANCE = 1e-3
_EPSILON = 1e-3
_BATCH = 32
_SIDE = 299
_EXACT = jax.lax.Precision.HIGHEST

Convolution = tuple[jax.Array, jax.Array]  # kernel [kh, kw, in, out] with the normalisation folded in, bias [out]


class JaxInception:
    """Callable that turns pictures into Inception's pooled features, batches spread over all local devices.

    Attributes:
        sha256: of the TorchScript file.
        dimension: number of features, 2048 for the real file.
    """

    def __init__(self, convolutions: list[Convolution], sha256: str) -> None:
        self.sha256 = sha256
        self._split = split_over_devices(_BATCH)
        self._convolutions = jax.device_put(convolutions, NamedSharding(self._split.mesh, PartitionSpec()))
        self.dimension = _fits(convolutions)

    def __call__(
        self, images: np.ndarray, *, progress: Callable[[int, int], None] | None = None, unrounded: bool = False
    ) -> np.ndarray:
        """float32[N, D] of uint8[N, R, R, 3] (or, `unrounded`, float32 in 0..255), resized as clean-fid does."""
        check_images(images, dtype=np.float32 if unrounded else np.uint8)
        rows = []
        for start in range(0, len(images), _BATCH):
            batch = np.stack([resized(np.asarray(image)) for image in images[start : start + _BATCH]])
            rows.append(self.features_of_resized(batch))
            if progress is not None:
                progress(start + len(batch), len(images))
        return np.concatenate(rows)

    def features_of_resized(self, images: np.ndarray) -> np.ndarray:
        """float32[N <= 32, D] of float32[N, 299, 299, 3] in 0..255."""
        full = np.pad(np.asarray(images, np.float32), [(0, _BATCH - len(images)), (0, 0), (0, 0), (0, 0)])
        return np.asarray(_features(self._convolutions, jax.device_put(full, self._split)))[: len(images)]


def resized(image: np.ndarray) -> np.ndarray:
    """float32[299, 299, 3] in 0..255 of a picture [R, R, 3]: clean-fid's resize "clean" to the bit (Parmar et al. 2022).

    Pillow's bicubic, which is antialiased, of each channel in floating point; clipped, not rounded.
    """
    channels = [Image.fromarray(np.ascontiguousarray(image[..., c], np.float32)) for c in range(3)]
    sides = [np.asarray(channel.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)) for channel in channels]
    return np.stack(sides, axis=2).clip(0, 255)


def load_jax_inception(
    path: str | Path, sha256: str | None = None, *, param: str = "features.inception_path"
) -> JaxInception:
    """Opens the Inception TorchScript file; torch and clean-fid are not needed.

    Raises:
        ValueError: no such file, another sha256 than wanted, or no Inception v3 in the file (`TorchScriptError`).
    """
    found = checked_file(path, sha256, param)
    return JaxInception(convolutions_of(read_torchscript(path)), found)


def check_against_torch(mine: JaxInception, path: str | Path, images: np.ndarray) -> float:
    """Largest difference from the file's own code on pictures float32[N, 299, 299, 3] in 0..255, relative to the features'
    largest.

    Raises:
        ValueError: if it exceeds 1e-3: the file orders its convolutions otherwise, and these features are not its own.
    """
    from sg3x.metrics.features.inception_torch import load_inception

    theirs = load_inception(path, mine.sha256, device="cpu")._features(np.asarray(images, np.float32))
    difference = float(np.abs(mine.features_of_resized(images) - theirs).max() / max(np.abs(theirs).max(), 1e-12))
    if not difference <= TOLERANCE:
        raise ValueError(f"features differ from the TorchScript file's own by {difference:.2g} (allowed {TOLERANCE:g})")
    return difference


def convolutions_of(module: Module) -> list[Convolution]:
    """The 94 convolutions, normalisation folded in, in the file's order.

    Raises:
        TorchScriptError: another number of them, or one without the vectors of its normalisation.
    """
    layers = (module.attributes or {}).get("layers")
    found = [_folded(*one) for one in _walk(layers if type(layers) is Module else module)]
    if len(found) < COUNT:
        raise TorchScriptError(f"the file has {len(found)} convolutions; Inception v3 has {COUNT}")
    return found[:COUNT]


def _walk(module: Module) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Every kernel [out, in, kh, kw] with the vectors [out] that follow it, up to the next kernel, by name."""
    kernel: np.ndarray | None = None
    vectors: dict[str, np.ndarray] = {}
    for name, value in tensors_of(module):
        if value.ndim == 4:
            if kernel is not None:
                yield kernel, vectors
            kernel, vectors = value, {}
        elif kernel is not None and value.shape == (kernel.shape[0],):
            vectors[name] = value
    if kernel is not None:
        yield kernel, vectors


def _folded(kernel: np.ndarray, vectors: dict[str, np.ndarray]) -> Convolution:
    """relu(norm(conv(x))) = relu(conv'(x) + bias')."""

    def pick(words: tuple[str, ...]) -> np.ndarray | None:
        last = {name: name.rpartition(".")[2] for name in vectors}
        return next((vectors[n] for n, short in last.items() if any(word in short for word in words)), None)

    mean, variance = pick(("mean",)), pick(("var",))
    beta, gamma = pick(("beta", "bias", "offset")), pick(("gamma", "weight", "scale"))
    if mean is None or variance is None or beta is None:
        raise TorchScriptError(
            f"a convolution {kernel.shape} has the vectors {sorted(vectors)}; needed: mean, var, bias"
        )
    scale = (1.0 if gamma is None else gamma.astype(np.float64)) / np.sqrt(variance.astype(np.float64) + _EPSILON)
    weight = kernel.transpose(2, 3, 1, 0) * scale
    return jnp.asarray(weight, jnp.float32), jnp.asarray(beta - mean * scale, jnp.float32)


def _fits(convolutions: list[Convolution]) -> int:
    """The number of features, after checking that every shape fits where it stands."""
    image = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
    try:
        return jax.eval_shape(_features, convolutions, image).shape[1]
    except (TypeError, ValueError) as error:
        raise TorchScriptError(f"the file's convolutions are not Inception v3's in its order: {error}") from error


@jax.jit
def _features(convolutions: list[Convolution], images: jax.Array) -> jax.Array:
    """float32[N, 299, 299, 3] in 0..255 -> float32[N, D]."""
    following = iter(convolutions)

    def conv(x: jax.Array, padding: str = "SAME", stride: int = 1) -> jax.Array:
        kernel, bias = next(following)
        y = jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=_EXACT
        )
        return jax.nn.relu(y + bias)

    x = (images - 128) / 128
    x = conv(conv(conv(x, "VALID", 2), "VALID"))
    x = conv(conv(_max_pool(x, 2)), "VALID")
    x = _max_pool(x, 2)
    for _ in range(3):
        x = _block_a(conv, x)
    x = _block_b(conv, x)
    for _ in range(4):
        x = _block_c(conv, x)
    x = _block_d(conv, x)
    x = _block_e(conv, x, _average_pool)
    x = _block_e(conv, x, _max_pool)
    return x.mean(axis=(1, 2))


def _chain(conv: Callable[..., jax.Array], x: jax.Array, count: int) -> jax.Array:
    for _ in range(count):
        x = conv(x)
    return x


def _join(*branches: jax.Array) -> jax.Array:
    return jnp.concatenate(branches, axis=3)


def _block_a(conv: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    return _join(conv(x), _chain(conv, x, 2), _chain(conv, x, 3), conv(_average_pool(x)))


def _block_b(conv: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    return _join(conv(x, "VALID", 2), conv(_chain(conv, x, 2), "VALID", 2), _max_pool(x, 2))


def _block_c(conv: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    return _join(conv(x), _chain(conv, x, 3), _chain(conv, x, 5), conv(_average_pool(x)))


def _block_d(conv: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    return _join(conv(conv(x), "VALID", 2), conv(_chain(conv, x, 3), "VALID", 2), _max_pool(x, 2))


def _block_e(conv: Callable[..., jax.Array], x: jax.Array, pool: Callable[[jax.Array], jax.Array]) -> jax.Array:
    first = conv(x)
    single = conv(x)
    wide = _join(conv(single), conv(single))
    double = _chain(conv, x, 2)
    return _join(first, wide, _join(conv(double), conv(double)), conv(pool(x)))


def _max_pool(x: jax.Array, stride: int = 1) -> jax.Array:
    padding = "SAME" if stride == 1 else "VALID"
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def _average_pool(x: jax.Array) -> jax.Array:
    """3x3, what lies outside not counted."""

    def total(y: jax.Array) -> jax.Array:
        return jax.lax.reduce_window(y, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")

    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype))
