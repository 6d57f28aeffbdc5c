"""Encoders and heads under one contract, and the planners composed of them."""
