"""Which rank ended first, and how: the others' ends follow from it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from navforge.jobs.evidence import Evidence, Line, slurm_time
from navforge.runs import exits
from navforge.runs.status import Failure

_SRUN = re.compile(
    r"srun: error: (?P<node>\S+): tasks? (?P<ranks>[\d,-]+): (?P<how>[A-Z][\w /-]*?)(?: with exit code (?P<code>\d+))?"
    r"(?: \(core dumped\))?$"
)
_SIGNALS = {
    "Killed": signal.SIGKILL,
    "Terminated": signal.SIGTERM,
    "Segmentation fault": signal.SIGSEGV,
    "Aborted": signal.SIGABRT,
    "Bus error": signal.SIGBUS,
    "Floating point exception": signal.SIGFPE,
    "Illegal instruction": signal.SIGILL,
    "Interrupt": signal.SIGINT,
    "Hangup": signal.SIGHUP,
    "User defined signal 1": signal.SIGUSR1,
}
"""As `srun` words them."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """The end of ranks as `srun` or the supervisor saw it."""

    ranks: tuple[int, ...]
    status: int
    """Exit status, or minus the signal."""
    line: Line
    node: str | None = None
    out_of_memory: bool = False
    """The kernel killed it for that, says Slurm."""

    @property
    def signal(self) -> int:
        """The signal that ended it, or 0."""
        return -self.status if self.status < 0 else 0


def deaths(evidence: Evidence) -> list[Death]:
    """Unrequested, abnormal exits of ranks, the earliest first."""
    local = [
        Death(ranks=(end.rank,), status=end.status, line=_exit_line(evidence, end))
        for end in evidence.view.exits
        if not end.asked and end.status != exits.FINISHED
    ]
    found = local
    for line, match in evidence.in_job_log(_SRUN.pattern):
        how, code = match["how"], match["code"]
        status = int(code) if code is not None else -_SIGNALS.get(how, 0)
        ranks = ranks_of(match["ranks"])
        oom = how == "Out Of Memory"
        if status or oom:
            found.append(Death(ranks=ranks, status=status, line=line, node=match["node"], out_of_memory=oom))
    return found


def asked_ends(evidence: Evidence) -> list[Line]:
    """Lines of the record about ranks that the supervisor of a local run ended by a signal."""
    signals = (-signal.SIGTERM, -signal.SIGUSR1, -signal.SIGKILL)
    return [_exit_line(evidence, end) for end in evidence.view.exits if end.asked and end.status in signals]


def ranks_of(text: str) -> tuple[int, ...]:
    """Numbers of `0,2-3`."""
    ranks: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        ranks += range(int(low), int(high or low) + 1)
    return tuple(ranks)


def first_failure(evidence: Evidence) -> Failure | None:
    """The earliest recorded failure that another rank's end, or a signal from outside, did not cause."""
    event = event_time(evidence)
    for failure in evidence.view.failures:
        after = event is not None and failure.time >= event
        if failure.cause != "peer" and not after:
            return failure
    return None


def event_time(evidence: Evidence) -> float | None:
    """When Slurm itself stopped the job's ranks, s since 1970; None where it did not, or does not say."""
    # A step is also stopped because one of its ranks ended badly; that is not a separate cause.
    times = [slurm_time(line.text) for line in evidence.job_log if "*** JOB" in line.text or "DUE TO" in line.text]
    return min((time for time in times if time is not None), default=None)


def killed_first(evidence: Evidence, failure: Failure) -> bool:
    """Whether a rank was killed by a signal before a failure that another one recorded without knowing why."""
    dead = deaths(evidence)
    if not dead or failure.cause not in ("error", "peer"):
        return False
    first = dead[0]
    return bool(first.signal or first.out_of_memory) and failure.rank not in first.ranks


def died_before(evidence: Evidence, lines: Sequence[Line]) -> bool:
    """Whether the job log tells of a rank's bad end before the first of some lines in it."""
    if not lines:
        return False
    first = min(line.number for line in lines)
    return any(
        death.line.source == lines[0].source and death.line.number < first and death.signal != signal.SIGTERM
        for death in deaths(evidence)
    )


def ranks_in_words(ranks: tuple[int, ...]) -> str:
    """`rank 3`, `ranks 0, 1 and 5 more`."""
    shown = ", ".join(map(str, ranks[:6]))
    more = f" and {len(ranks) - 6} more" if len(ranks) > 6 else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}{more}"


def _exit_line(evidence: Evidence, end: exits.RankExit) -> Line:
    path = evidence.view.folder.exits
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [], 1):
        if f'"pid": {end.pid},' in text and f'"rank": {end.rank},' in text:
            return Line(path.name, number, text)
    return Line(path.name, 0, f"rank {end.rank}: {exits.describe(end.status)}")
