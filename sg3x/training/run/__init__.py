"""A segment from its first step to its checkpoint: the loop, stop requests, saving, resuming, starting from another model."""
