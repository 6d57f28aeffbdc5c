"""Trajectory vocabularies and the teacher store of their scores."""
