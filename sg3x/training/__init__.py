"""Training: augmentation, losses, state, step, loop, checkpoints."""

from sg3x.training.augment import AugmentConfig, augment_images

__all__ = ["AugmentConfig", "augment_images"]
