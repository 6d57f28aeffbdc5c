"""Inference weights of a trained planner, chosen on a validation split."""
