"""A run's ranks on this machine or under Slurm: cluster profiles, the batch script, the code snapshot."""
