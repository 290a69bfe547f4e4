"""The operators under the name of their former room; they live in `sg3x.ops`."""

from sg3x.ops import design_lowpass_filter, filtered_lrelu, upfirdn2d

__all__ = ["design_lowpass_filter", "filtered_lrelu", "upfirdn2d"]
