"""Agent and split to a per-scene table, its aggregate, and comparisons of two tables."""
