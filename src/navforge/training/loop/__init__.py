"""The training loop: order, loading, steps, checkpoints, curves."""
