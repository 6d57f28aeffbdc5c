"""A Slurm client: commands, parsers of their output, durations, cluster profiles."""
