"""What the formulations of sg3x are measured against: a depthwise form in JAX, and torch.nn.functional."""
