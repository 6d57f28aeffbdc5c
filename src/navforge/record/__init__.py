"""The record of experiments: every run and evaluation below a folder, from what lies there alone."""
