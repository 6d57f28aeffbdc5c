"""Intervals, tests and detectable differences of mean scores: pure functions of arrays (docs/statistics.md)."""
