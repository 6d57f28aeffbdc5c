"""A procedural driving world written in the formats of OpenScene and nuPlan."""
