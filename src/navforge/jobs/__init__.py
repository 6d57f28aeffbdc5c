"""What runs, how far it is, and what killed it: from run folders and Slurm's own records."""
