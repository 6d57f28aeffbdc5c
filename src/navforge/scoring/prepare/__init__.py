"""Cached scenes made ready for the kernels: flat arrays in the ego frame, with indexes over them."""
