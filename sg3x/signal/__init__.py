"""Signal processing: filter design, resampling and the filtered nonlinearity, on images [N, H, W, C]."""

from sg3x.signal.filtered_lrelu import filtered_lrelu
from sg3x.signal.filters import design_lowpass_filter
from sg3x.signal.upfirdn import downsample2d, filter2d, upfirdn2d, upsample2d

__all__ = ["design_lowpass_filter", "downsample2d", "filter2d", "filtered_lrelu", "upfirdn2d", "upsample2d"]
