"""Failed scenes in words: one line per cause, however many scenes it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_CAUSES, _SCENES = 10, 3
"""Causes printed, and scenes named per cause."""
_OWN = re.compile(r"\S*/\S*|\b[0-9a-f]{16}\b|\b\d+\b")
"""What differs between failures of one cause: paths, tokens and numbers, such as that of a frame."""


class FailedScene(NamedTuple):
    """One failed scene."""

    token: str
    log_name: str
    cause: str


def by_cause(failures: Iterable[FailedScene]) -> list[str]:
    """One line per cause, the most frequent first, each with its number of scenes and the first of them.

    Failures whose texts differ at most in the scene, its log, paths, tokens and numbers have one cause.
    """
    groups: dict[str, list[FailedScene]] = {}
    for failure in failures:
        cause = failure.cause.replace(failure.token, "0").replace(failure.log_name, "0")
        groups.setdefault(_OWN.sub("0", cause), []).append(failure)
    lines = [_line(group) for group in sorted(groups.values(), key=len, reverse=True)]
    more = [f"... and {len(lines) - _CAUSES} more causes"] if len(lines) > _CAUSES else []
    return lines[:_CAUSES] + more


def _line(group: list[FailedScene]) -> str:
    scenes = ", ".join(f"{failure.token} ({failure.log_name})" for failure in group[:_SCENES])
    if len(group) == 1:
        return f"{scenes}: {group[0].cause}"
    rest = f" and {len(group) - _SCENES} more" if len(group) > _SCENES else ""
    logs = len({failure.log_name for failure in group})
    such_as = "" if len({failure.cause for failure in group}) == 1 else " such as"
    of_logs = f" of {logs} logs" if logs > 1 else ""
    return f"{len(group)} scenes{of_logs}, {scenes}{rest}:{such_as} {group[0].cause}"
