"""Networks that others trained."""

from sg3x.interop import nvidia

__all__ = ["nvidia"]
