"""From scenes to a trained planner: the one input path, targets, the trainer, checkpoints, runs."""
