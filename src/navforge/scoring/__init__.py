"""Sub-scores and scores of simulated trajectories under a named protocol; the one engine that scores."""
