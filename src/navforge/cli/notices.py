"""What a user should know of a split before its numbers are used, on standard error."""

from __future__ import annotations

import sys

from navforge.core.screen import say
from navforge.data.splits import Split


def warn(split: Split) -> None:
    """Print what the split lacks, and what is implausible about its scenes."""
    missing = [split.describe_missing()] if not split.complete else []
    for text in missing + split.describe_doubts():
        say(f"navforge: warning: {text}", file=sys.stderr)
