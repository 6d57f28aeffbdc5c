"""Compiled sub-scores: functions of a proposal `n`, one or eight, over flat arrays."""
