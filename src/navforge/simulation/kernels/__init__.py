"""Compiled simulation: tracker and bicycle model, and vehicles that react to the ego."""
