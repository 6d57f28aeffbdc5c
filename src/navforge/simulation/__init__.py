"""From a plan to the states the ego reaches: LQR tracker and kinematic bicycle, in batches."""
