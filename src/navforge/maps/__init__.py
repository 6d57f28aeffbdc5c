"""nuPlan maps as flat arrays and a lane graph."""
