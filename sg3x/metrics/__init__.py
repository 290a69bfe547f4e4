"""Distances between sets of features, and what a generator is measured by."""

from sg3x.metrics.frechet import feature_statistics, frechet_distance
from sg3x.metrics.kernel import kernel_distance
from sg3x.metrics.precision_recall import precision_recall

__all__ = ["feature_statistics", "frechet_distance", "kernel_distance", "precision_recall"]
