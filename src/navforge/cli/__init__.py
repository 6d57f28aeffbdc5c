"""The command line: one thin module per verb, found by name in `main.VERBS`."""
