"""The best a PyTorch user gets without CUDA: torch.nn.functional, depthwise separable FIRs, convolutions shared or grouped.

Tensors are [N, C, H, W]. Written from the formulas, for timing; parity is the tests' matter.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def upfirdn(x, taps, up, down, pads, gain):
    """Zeros inserted, padded, filtered along H and W (by taps[n, n] at once) and decimated."""
    n, c, h, w = x.shape
    if up > 1:
        x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1]).reshape(n, c, h * up, w * up)
    x = F.pad(x, [pads[0], pads[1], pads[0], pads[1]])
    if taps is None:
        return x
    if taps.ndim == 2:
        return F.conv2d(x, (taps.flip(0, 1) * gain)[None, None].expand(c, 1, -1, -1), stride=down, groups=c)
    kernel = (taps.flip(0) * gain**0.5)[None, None].expand(c, 1, -1)
    x = F.conv2d(x, kernel[..., None], stride=(down, 1), groups=c)
    return F.conv2d(x, kernel[:, :, None], stride=(1, down), groups=c)


def filtered_lrelu(x, up_taps, down_taps, bias, up, down, pads, clamp=256.0):
    x = upfirdn(x + bias[:, None, None], up_taps, up, 1, pads, up**2)
    x = (F.leaky_relu(x, 0.2) * 2**0.5).clamp(-clamp, clamp)
    return upfirdn(x, down_taps, 1, down, (0, 0), 1)


def modulated_conv(x, w, s, padding):
    """x[N, I, H, W], w[O, I, kh, kw], s[N, I]: a kernel per sample as groups, as the public implementation does."""
    n, c, h, wd = x.shape
    kernels = w[None] * s[:, None, :, None, None]
    kernels = kernels * (kernels.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    y = F.conv2d(x.reshape(1, n * c, h, wd), kernels.flatten(0, 1), padding=padding, groups=n)
    return y.reshape(n, -1, *y.shape[2:])


def scaled_conv(x, w, s, padding):
    """The same result as `modulated_conv`: one shared kernel, the input scaled by s, the output by what normalises."""
    demodulation = (s.square() @ w.square().sum(dim=(2, 3)).T + 1e-8).rsqrt()
    return F.conv2d(x * s[:, :, None, None], w, padding=padding) * demodulation[:, :, None, None]


def tensor(x: np.ndarray, grad: bool = False) -> torch.Tensor:
    """A float32 tensor of an array, images [N, H, W, C] as [N, C, H, W]."""
    x = np.asarray(x, np.float32)
    return torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x.copy(), requires_grad=grad)
