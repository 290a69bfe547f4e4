"""What a training step will cost, asked of the compiler before any machine is paid for."""
