"""The cost of a training step, asked of the compiler before any machine is paid for."""
