"""What Slurm says of many jobs, asked once: the queue, then the accounting, then nothing, with a note."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from navforge.jobs import cluster
from navforge.jobs.cluster import ask, seconds
from navforge.slurm.client import SlurmError
from navforge.slurm.output import AccountedStep, QueuedJob, parse_accounting, parse_queue

QUEUE = """\
40|40|RUNNING|2:05|10:00|100|2|None|gl[001-002]|2026-11-23T03:00:00|l40s
41|41|PENDING|0:00|1-00:00:00|300|1|Priority||2026-11-23T05:00:00|l40s
42|42|PENDING|0:00|UNLIMITED|900|1|Resources||N/A|l40s
43|43|PENDING|0:00|10:00|900|1|Priority||N/A|h200
44|44|TIMEOUT|10:00|10:00|100|1|TimeLimit|gl003|2026-11-23T02:00:00|l40s
"""
ACCOUNTING = """\
30|NODE_FAIL|0:0|0:0|5|2026-11-22T03:00:00|2026-11-22T03:00:01|2026-11-22T03:00:06||gl001|None
30.0|FAILED|15:0||5|2026-11-22T03:00:01|2026-11-22T03:00:01|2026-11-22T03:00:06|36280K|gl001|
30|CANCELLED by 1000|0:0|143:0|17|2026-11-22T03:00:06|2026-11-22T03:00:20|2026-11-22T03:00:37||gl002|BeginTime
"""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Slurm that answers as recorded; the list holds what its accounting was asked for."""
    asked: list[Sequence[str]] = []

    def queue() -> list[QueuedJob]:
        return parse_queue(QUEUE)

    def accounting(jobs: Sequence[str]) -> list[AccountedStep]:
        asked.append(jobs)
        return parse_accounting(ACCOUNTING) if "30" in jobs else []

    monkeypatch.setattr(cluster.slurm, "available", lambda: True)
    monkeypatch.setattr(cluster.slurm, "queue", queue)
    monkeypatch.setattr(cluster.slurm, "accounting", accounting)
    return asked


def test_jobs_in_the_queue(slurm: list[Sequence[str]]) -> None:
    jobs = ask(["40", "41", "42", "43", "44"]).jobs
    start = datetime(2026, 11, 23, 3).timestamp()
    assert jobs["40"].runs and jobs["40"].nodes == "gl[001-002]" and jobs["40"].reason == ""
    assert (jobs["40"].started, jobs["40"].ends) == (start, start + 600)
    assert jobs["41"].waits and (jobs["41"].position, jobs["41"].waiting) == (2, 2)
    assert jobs["41"].started == start + 7200 and jobs["41"].ends is None, "when it is expected to start"
    assert (jobs["42"].position, jobs["43"].position) == (1, 1), "each in its own partition"
    assert jobs["44"].ended and jobs["44"].position is None
    assert slurm == [[]], "nothing was left to ask the accounting for"


def test_jobs_that_left_the_queue_by_their_last_run_and_unknown_ones_not_at_all(slurm: list[Sequence[str]]) -> None:
    answer = ask(["30", "40", "99"])
    assert slurm == [["30", "99"]] and set(answer.jobs) == {"30", "40"} and not answer.note
    assert (answer.jobs["30"].state, answer.jobs["30"].cancelled_by, answer.jobs["30"].nodes) == (
        "CANCELLED",
        1000,
        "gl002",
    )


def test_silence_is_noted(slurm: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[AccountedStep]:
        raise SlurmError("sacct failed: no database / and much more")

    monkeypatch.setattr(cluster.slurm, "accounting", fails)
    answer = ask(["30", "40"])
    assert set(answer.jobs) == {"40"} and "(sacct failed: no database)" in answer.note
    monkeypatch.setattr(cluster.slurm, "queue", fails)
    assert not ask(["40"]).jobs and "Slurm does not answer" in ask(["40"]).note
    monkeypatch.setattr(cluster.slurm, "available", lambda: False)
    assert "not installed" in ask(["40"]).note and not ask([]).note


def test_times_as_slurm_prints_them() -> None:
    assert seconds("2026-11-23T03:00:00") == datetime(2026, 11, 23, 3).timestamp()
    assert seconds(None) is None and seconds("Unknown") is None
