"""Pictures and pages made from stored results only."""
