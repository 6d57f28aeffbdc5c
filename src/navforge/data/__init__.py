"""Logs, scenes, sensor files and splits, as downloaded (or made by `navforge town`)."""
