"""The one way from scenes to what a planner reads and learns from, and the packed input store."""
