"""Ideal translations and rotations of pictures, against which a generator's equivariance is measured.

Karras et al. 2021 (StyleGAN3), appendix E. Every operator gives the moved pictures and a mask: where the result is
exact, that is where it does not lean on anything outside the picture. Coordinates and filters are computed in float64
on the host; only their application to the pictures is a compiled float32 program, so a new angle compiles nothing.
"""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from sg3x.drawing.motion import rotation_matrix

LANCZOS = 3  # half width of the windows, in pixels
REACH = 2 * LANCZOS  # of the oriented filters, whose window is the product of two Lanczos windows convolved
UPSAMPLING = 4  # before the bilinear lookup of a rotation
_DOMAIN = 128  # pixels; the period of the grid on which oriented filters are convolved
_HIGHEST = jax.lax.Precision.HIGHEST

Moved = tuple[jax.Array, np.ndarray]  # pictures float32[N, H, W, C], mask float32[H, W]


def translate_integer(images: jax.Array, tx: float, ty: float) -> Moved:
    """Pictures [N, H, W, C] moved by round(tx * W), round(ty * H) whole pixels, right and down; zeros move in."""
    height, width = images.shape[1:3]
    rows, inside_y = _shift(height, round(ty * height))
    columns, inside_x = _shift(width, round(tx * width))
    return _separable(images, rows, columns), np.outer(inside_y, inside_x).astype(np.float32)


def translate_fractional(images: jax.Array, tx: float, ty: float) -> Moved:
    """Pictures [N, H, W, C] moved by tx * W, ty * H pixels through a Lanczos-3 kernel; the mask excludes its reach."""
    height, width = images.shape[1:3]
    rows, inside_y = _lanczos_shift(height, ty * height)
    columns, inside_x = _lanczos_shift(width, tx * width)
    return _separable(images, rows, columns), np.outer(inside_y, inside_x).astype(np.float32)


def rotate(images: jax.Array, angle: float) -> Moved:
    """Pictures [N, H, W, C] rotated by `angle` radians about their centre, band-limited; zeros outside.

    Upsampling 4x through a filter that passes what both pixel grids can hold, then bilinear lookup. Coordinates are
    normalised per axis, as in the reference: a picture that is not square is sheared.
    """
    height, width = images.shape[1:3]
    corners, weights, mask = _rotation_plan(height, width, angle)
    kernel = _polyphase(oriented_filter(rotation_matrix(angle), UPSAMPLING))
    return _rotate(images, kernel, corners, weights), mask


def pseudo_rotate(images: jax.Array, angle: float) -> Moved:
    """Pictures [N, H, W, C] with the frequencies that a rotation by -angle could not keep removed; nothing moves."""
    height, width = images.shape[1:3]
    taps = oriented_filter(rotation_matrix(-angle), 1)
    border = len(taps) // 2
    mask = np.zeros((height, width), np.float32)
    mask[border : height - border, border : width - border] = 1
    return _filter(images, taps[::-1, ::-1].astype(np.float32)), mask


def oriented_filter(matrix: np.ndarray, up: int) -> np.ndarray:
    """Low-pass filter float64[12 * up - 1, 12 * up - 1] of what both the pixel grid and that grid under `matrix` hold.

    The convolution of the two grids' ideal low-pass filters, windowed by the convolution of their Lanczos windows;
    each of the up * up polyphase components has sum 1 / up^2, so that constants stay constants.
    """
    half = _DOMAIN // 2 * up
    position = np.arange(-half + 1, half) / up
    xi, yi = position[None, :], position[:, None]
    xo = matrix[0, 0] * xi + matrix[0, 1] * yi
    yo = matrix[1, 0] * xi + matrix[1, 1] * yi
    ideal = _circular_convolution(np.sinc(xi) * np.sinc(yi), np.sinc(xo) * np.sinc(yo))
    window = _circular_convolution(_lanczos(xi) * _lanczos(yi), _lanczos(xo) * _lanczos(yo))
    near = np.abs(position) < REACH
    taps = (ideal * window)[np.ix_(near, near)]
    for y in range(up):
        for x in range(up):
            phase = taps[y::up, x::up]
            phase /= phase.sum() * up**2
    return taps


def _circular_convolution(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of two odd-sized arrays with the origin in the middle, wrapping around."""
    product = np.fft.rfft2(np.fft.ifftshift(a)) * np.fft.rfft2(np.fft.ifftshift(b))
    return np.fft.fftshift(np.fft.irfft2(product, a.shape))


def _lanczos(x: np.ndarray) -> np.ndarray:
    """The window sinc(x / 3), zero from |x| = 3 on."""
    return np.where(np.abs(x) < LANCZOS, np.sinc(x / LANCZOS), 0.0)


def _shift(size: int, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrix float32[size, size] of a whole-pixel shift, and where it is exact, float64[size]."""
    matrix = np.eye(size, k=-by, dtype=np.float32)
    return matrix, matrix.sum(axis=1, dtype=np.float64)


def _lanczos_shift(size: int, by: float) -> tuple[np.ndarray, np.ndarray]:
    """Matrix float32[size, size] of a fractional shift, and where it is exact, float64[size]."""
    whole = int(np.floor(by))
    fraction = by - whole
    tap = np.arange(-LANCZOS + 1, LANCZOS + 1)
    kernel = np.sinc(tap - fraction) * np.sinc((tap - fraction) / LANCZOS)
    kernel /= kernel.sum()
    to = np.arange(size)[:, None]
    offset = to - whole - np.arange(size)[None, :]  # which tap reaches from a source to a target sample
    reached = (offset >= tap[0]) & (offset <= tap[-1])
    written = (to >= max(whole - LANCZOS + 1, 0)) & (to < size + min(whole + LANCZOS, 0))
    matrix = np.where(reached & written, kernel[np.clip(offset - tap[0], 0, len(tap) - 1)], 0.0)
    exact = (to >= max(whole + LANCZOS, 0)) & (to < size + min(whole - LANCZOS + 1, 0))
    return matrix.astype(np.float32), exact[:, 0].astype(np.float64)


@jax.jit
def _separable(images: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    return jnp.einsum("ph,nhwc,qw->npqc", rows, images.astype(jnp.float32), columns, precision=_HIGHEST)


@lru_cache(maxsize=64)
def _rotation_plan(height: int, width: int, angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source of each output pixel: flat indices int32[4, H * W] of its neighbours in the upsampled picture, their
    bilinear weights float32[4, H * W] (zero outside), and the mask float32[H, W] (by the nearest sample)."""
    pad = REACH * UPSAMPLING - 1
    up_w, up_h = (UPSAMPLING * n + 2 * pad for n in (width, height))
    x, y = np.meshgrid((2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1)
    source = np.tensordot(np.linalg.inv(rotation_matrix(angle)), np.stack([x, y]), axes=1)
    at_x = _lookup_position(source[0], width, up_w, pad)
    at_y = _lookup_position(source[1], height, up_h, pad)
    left, top = np.floor(at_x), np.floor(at_y)
    indices, weights = [], []
    for dy in (0, 1):
        for dx in (0, 1):
            column, row = left + dx, top + dy
            weight = (1 - np.abs(at_x - column)) * (1 - np.abs(at_y - row))
            inside = (column >= 0) & (column < up_w) & (row >= 0) & (row < up_h)
            flat = np.clip(row, 0, up_h - 1) * up_w + np.clip(column, 0, up_w - 1)
            indices.append(flat.astype(np.int32).reshape(-1))
            weights.append(np.where(inside, weight, 0).astype(np.float32).reshape(-1))
    border = 2 * pad + 1
    exact_x = (np.rint(at_x) >= border) & (np.rint(at_x) < up_w - border)
    exact_y = (np.rint(at_y) >= border) & (np.rint(at_y) < up_h - border)
    return np.stack(indices), np.stack(weights), (exact_x & exact_y).astype(np.float32)


def _lookup_position(source: np.ndarray, size: int, upsampled: int, pad: int) -> np.ndarray:
    """Index into the padded, upsampled axis of a position in -1..1 of the picture.

    The upsampled samples' centres lie half a sample before the pixels' they came from: hence the shift.
    """
    normalised = (source + 1 / (UPSAMPLING * size)) * (size / (size + 2 * pad / UPSAMPLING))
    return ((normalised + 1) * upsampled - 1) / 2


def _polyphase(taps: np.ndarray) -> np.ndarray:
    """The filter as one ordinary convolution with up * up outputs, float32[13, 13, 1, 16]: no zeros are multiplied.

    Upsampled sample 4q + r is the sum over m of taps[4m - r] x[q - 12 + m], for flipped taps and 48 samples of padding.
    """
    flipped = taps[::-1, ::-1]
    count = 2 * REACH + 1
    index = UPSAMPLING * np.arange(count)[:, None] - np.arange(UPSAMPLING)[None, :]
    inside = (index >= 0) & (index < len(taps))
    safe = np.clip(index, 0, len(taps) - 1)
    kernel = flipped[safe[:, None, :, None], safe[None, :, None, :]]
    kernel = np.where(inside[:, None, :, None] & inside[None, :, None, :], kernel, 0) * UPSAMPLING**2
    return kernel.reshape(count, count, 1, UPSAMPLING**2).astype(np.float32)


def _filter(images: jax.Array, correlation: np.ndarray) -> jax.Array:
    """Every channel filtered with float32[k, k] in correlation order, zeros outside, same size."""
    return _filter_program(images, correlation[:, :, None, None])


@jax.jit
def _filter_program(images: jax.Array, kernel: jax.Array) -> jax.Array:
    border = kernel.shape[0] // 2
    return _from_planes(_convolve(_planes(images), kernel, border), images.shape)


@jax.jit
def _rotate(images: jax.Array, kernel: jax.Array, indices: jax.Array, weights: jax.Array) -> jax.Array:
    n, height, width, channels = images.shape
    planes = _convolve(_planes(images), kernel, 2 * REACH)
    rows, columns = planes.shape[1:3]
    planes = planes.reshape(-1, rows, columns, UPSAMPLING, UPSAMPLING).transpose(0, 1, 3, 2, 4)
    planes = planes.reshape(-1, rows * UPSAMPLING, columns * UPSAMPLING)
    excess = 2  # the last block of 4 is only needed in part: padded sizes are 4 W + 46
    planes = planes[:, :-excess, :-excess].reshape(n * channels, -1)
    looked_up = sum((planes[:, indices[i]] * weights[i] for i in range(4)), jnp.float32(0))
    return _from_planes(looked_up.reshape(n * channels, height, width, 1), images.shape)


def _convolve(planes: jax.Array, kernel: jax.Array, pad: int) -> jax.Array:
    return jax.lax.conv_general_dilated(
        planes, kernel, (1, 1), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=_HIGHEST
    )


def _planes(images: jax.Array) -> jax.Array:
    """[N, H, W, C] -> float32[N * C, H, W, 1]."""
    n, h, w, c = images.shape
    return images.astype(jnp.float32).transpose(0, 3, 1, 2).reshape(n * c, h, w, 1)


def _from_planes(planes: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    n, h, w, c = shape
    return planes.reshape(n, c, h, w).transpose(0, 2, 3, 1)
