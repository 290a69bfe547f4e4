"""Features of pictures: extractors by name, random convolutions, and Inception in torch or JAX."""
