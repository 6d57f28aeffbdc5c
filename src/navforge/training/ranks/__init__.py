"""The ranks of a run: how they meet, agree, report and fail."""
