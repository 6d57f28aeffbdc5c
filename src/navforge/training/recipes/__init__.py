"""Named planners and how each is trained."""
