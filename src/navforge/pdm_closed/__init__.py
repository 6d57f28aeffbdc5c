"""PDM-Closed, the privileged planner whose progress every ego progress is measured against."""
