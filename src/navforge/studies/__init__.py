"""Studies: planners trained over a grid of factors and seeds, evaluated and compared as planned (docs/studies.md)."""
