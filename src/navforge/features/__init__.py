"""What the frozen trunk of an encoder makes of a split, computed once: the feature store."""
