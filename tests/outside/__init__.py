"""Every reader of outside files against damage of every kind."""
