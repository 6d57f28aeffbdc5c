"""Prepared scenes side by side in memory, scored on CPU threads or a GPU."""
