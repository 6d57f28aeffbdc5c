"""OpenScene logs, scenes, sensors and splits, as downloaded and read-only."""
