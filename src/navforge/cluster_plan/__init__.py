"""Where a run would end first: recorded speeds, the place in the queue now, the time to the result."""
