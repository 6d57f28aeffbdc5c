"""Lightning module, data module, callbacks and checkpoints."""
