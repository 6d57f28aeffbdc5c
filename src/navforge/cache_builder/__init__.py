"""Builds the metric cache: route correction, centreline, objects, lights, PDM-Closed reference."""
