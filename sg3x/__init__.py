"""sg3x: StyleGAN3 in JAX, reproducible to the byte."""
