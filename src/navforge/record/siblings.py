"""What tells runs of one folder apart: keys whose value is not that of most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


def differences(runs: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """For each run the keys, in the order given, by which it differs from its siblings.

    A value that more than half of the runs share goes without saying; where none is so common, every run shows its own.
    A key that a run does not have, as of an older version, tells nothing of it.

    Args:
        runs: values by key.
    """
    shown: list[dict[str, str]] = [{} for _ in runs]
    for name in dict.fromkeys(name for run in runs for name in run):
        values = Counter(run[name] for run in runs if name in run)
        if len(values) == 1:
            continue
        common, count = values.most_common(1)[0]
        for run, own in zip(runs, shown, strict=True):
            if name in run and (2 * count <= values.total() or run[name] != common):
                own[name] = run[name]
    return shown
