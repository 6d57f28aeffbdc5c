"""Planners: an encoder that turns what is sensed into tokens, and a head that turns tokens into a plan."""
