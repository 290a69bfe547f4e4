"""Operators on images [N, H, W, C]: filter design, resampling, the filtered nonlinearity, convolution.

A folder an operator: its `__init__` is signature, formula and choice, each other file a formulation.
"""

from sg3x.ops.conv2d import conv2d
from sg3x.ops.filtered_lrelu import filtered_lrelu
from sg3x.ops.lowpass import design_lowpass_filter
from sg3x.ops.upfirdn2d import downsample2d, filter2d, upfirdn2d, upsample2d

__all__ = ["conv2d", "design_lowpass_filter", "downsample2d", "filter2d", "filtered_lrelu", "upfirdn2d", "upsample2d"]
