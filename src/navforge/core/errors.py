"""The one exception a user is meant to read."""

from __future__ import annotations


class NavforgeError(ValueError):
    """Something the user gave or has on disk is wrong.

    The message says what was wrong, where, and what to do. The command line prints it without a traceback and
    exits with status 2; anything else that escapes is a bug and keeps its traceback.
    """


class ConfigError(NavforgeError):
    """A configuration key, type or value is wrong."""


class DataError(NavforgeError):
    """A log, map, sensor file, split or cache is missing, damaged or does not fit the others."""


class Deferred(Exception):  # noqa: N818 (no error)
    """The work continues in a job that this command does not wait for; the text is printed, the status is 0."""
