"""The rules in order, the most specific first, and the diagnosis of the first one that applies."""

from __future__ import annotations

from navforge.jobs.diagnosis import Diagnosis, Rule
from navforge.jobs.evidence import Evidence
from navforge.jobs.rules import general, ranks, slurm

RULES: tuple[Rule, ...] = (
    slurm.waits,
    slurm.goes_on,
    slurm.finished,
    slurm.host_memory,
    ranks.recorded_failure,
    slurm.time_limit,
    slurm.preemption,
    slurm.node_failure,
    slurm.cancelled,
    general.script_failed,
    general.written_in_a_log,
    general.disk_is_full,
    general.rank_killed,
    general.rank_exited,
    general.stopped,
    general.stopped_early,
    general.hang,
    general.not_started,
    general.unknown,
)


def diagnose(evidence: Evidence) -> Diagnosis:
    """What the first rule that applies says; `unknown` where no other does."""
    return next(diagnosis for rule in RULES if (diagnosis := rule(evidence)) is not None)
