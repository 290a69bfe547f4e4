"""Adaptive discriminator augmentation's pipe (Karras et al. 2020, "Training GANs with limited data", appendix B)."""

from sg3x.training.augment.config import PRESETS, AugmentConfig
from sg3x.training.augment.draws import FAMILIES, Draws, draw
from sg3x.training.augment.pipe import apply, augment_images

__all__ = ["FAMILIES", "PRESETS", "AugmentConfig", "Draws", "apply", "augment_images", "draw"]
