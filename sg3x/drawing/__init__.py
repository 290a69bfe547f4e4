"""Drawings of a generator, as arrays: pictures of seeds and latents, moved inputs, the same weights without filters."""
