"""Agents: what turns a scene into a trajectory, by name (constant velocity, human, trained planners)."""
