"""Rules of the diagnosis: evidence in, cause and remedy out, the most specific first."""
