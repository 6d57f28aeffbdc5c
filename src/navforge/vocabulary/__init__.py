"""Fixed trajectories a planner chooses from, how they are made, and what the teacher says of them."""
