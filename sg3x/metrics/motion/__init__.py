"""Answers of a generator to motion: of its input grid (EQ-T, EQ-R) and of its latents (perceptual path length)."""
