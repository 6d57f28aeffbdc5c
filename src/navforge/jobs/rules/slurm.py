"""Rules about what came from outside the ranks: the queue, limits, nodes, people."""

from __future__ import annotations

import pwd
import re

from navforge.core.durations import write_duration
from navforge.jobs import remedies
from navforge.jobs.cluster import seconds
from navforge.jobs.diagnosis import Diagnosis
from navforge.jobs.evidence import Evidence, Line
from navforge.jobs.first_failure import deaths, died_before, first_failure, ranks_in_words
from navforge.jobs.state import ACTIVE
from navforge.jobs.units import gigabytes
from navforge.runs.folder import BEST

IMPOSSIBLE = {
    "PartitionTimeLimit": "it asks for more time than its partition allows",
    "PartitionNodeLimit": "it asks for more nodes than its partition allows",
    "BadConstraints": "no node has what it asks for",
    "DependencyNeverSatisfied": "the job it depends on failed",
    "AccountNotAllowed": "its account may not use the partition",
    "InvalidAccount": "its account does not exist",
    "InvalidQOS": "its quality of service does not exist",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition takes no jobs",
    "JobHeldUser": "its owner holds it back: scontrol release",
    "JobHeldAdmin": "an administrator holds it back",
    "QOSMaxGRESPerUser": "it asks for more GPUs than its quality of service allows a user",
    "AssocMaxWallDurationPerJobLimit": "it asks for more time than its account allows",
}
"""Reasons for which a job waits for ever."""

_KERNEL_OOM = r"Detected \d+ oom[-_]kill event|Out Of Memory$|oom-kill|cgroup out-of-memory handler"
_POLLED_OOM = r"exceeded memory limit \((\d+) > (\d+)\), being killed|Exceeded job memory limit"


def goes_on(evidence: Evidence) -> Diagnosis | None:
    """It runs."""
    view, state = evidence.view, evidence.state
    if state.name not in ACTIVE:
        return None
    lead = view.lead
    words = f"The run continues: {state.name}"
    if lead is not None and lead.total_steps:
        words += f", step {lead.step} of {lead.total_steps}"
    words += f" ({state.note})." if state.note else "."
    before = [run for run in evidence.runs[:-1] if run.state not in ("COMPLETED",)]
    if before:
        words += f" It was started {len(before) + 1} times; the last run before this one ended as {before[-1].state}."
    shown = (evidence.record_line(view.folder.status_file(lead.rank), "phase"),) if lead is not None else ()
    return Diagnosis(cause="running", summary=words, evidence=shown, remedy=("navforge jobs",))


def waits(evidence: Evidence) -> Diagnosis | None:
    """It is in the queue, perhaps for ever."""
    job = evidence.job
    if job is None or not job.waits:
        return None
    line = Line(f"squeue -j {evidence.view.job}", 0, f"{evidence.view.job} {job.state} {job.reason}".rstrip())
    reason = job.reason.strip("()")
    for word, meaning in IMPOSSIBLE.items():
        if reason.startswith(word):
            return Diagnosis(
                cause="never_starts",
                summary=f"Job {evidence.view.job} waits and will never start: {meaning} ({reason}).",
                evidence=(line,),
                remedy=(
                    f"navforge jobs cancel {remedies.quoted(evidence)}",
                    "# then correct the cluster profile or the launch, and train again",
                ),
            )
    place = f" at place {job.position} of {job.waiting}" if job.position is not None else ""
    words = f"Job {evidence.view.job} waits in the queue{place}" + (f": {reason}." if reason else ".")
    before = [run for run in evidence.runs if run.state not in ("PENDING", "COMPLETED")]
    shown = (line,)
    if before:
        words += f" It ran before; that run ended as {before[-1].state}, and Slurm starts it again by itself."
        shown += evidence.accounting_lines(steps=False)
    return Diagnosis(cause="queued", summary=words, evidence=shown, remedy=("navforge jobs",))


def finished(evidence: Evidence) -> Diagnosis | None:
    """It reached its end."""
    if evidence.state.name != "finished":
        return None
    best = evidence.view.folder.checkpoints / BEST
    words = "Training ended as planned" + (f"; the best checkpoint is {best}." if best.is_file() else ".")
    return Diagnosis(
        cause="finished", summary=words, evidence=(Line("finished.json", 1, "training ended as planned"),), remedy=()
    )


def host_memory(evidence: Evidence) -> Diagnosis | None:
    """The kernel or Slurm killed ranks that took more memory than the job has."""
    if evidence.view.record.launch != "slurm":
        return None
    lines = [line for line, _ in evidence.in_job_log(f"{_KERNEL_OOM}|{_POLLED_OOM}")]
    states = [row for row in (*evidence.runs[-1:], *evidence.steps) if row.state == "OUT_OF_MEMORY"]
    if not lines and not states:
        return None
    failure = first_failure(evidence)
    if failure is not None and failure.cause not in ("host_memory", "error"):
        return None
    had = remedies.requested_memory_gb(evidence)
    words = "The job ran out of host memory"
    words += f": it had {remedies.memory_words(had)} per node" if had else ""
    amounts = [(line, match) for line, match in evidence.in_job_log(_POLLED_OOM) if match[1]]
    killed = [death for death in deaths(evidence) if death.out_of_memory]
    if amounts:
        line, match = amounts[0]
        words += f"; Slurm saw {gigabytes(int(match[1]))} GB in use{_node_of(line)}, the limit being "
        words += f"{gigabytes(int(match[2]))} GB, and killed the ranks there"
    elif killed:
        where = f" on {killed[0].node}" if killed[0].node else ""
        words += f"; the kernel killed {ranks_in_words(killed[0].ranks)}{where}, which took more"
        lines += [killed[0].line]
    else:
        words += f"; the kernel killed processes{_node_of(lines[0]) if lines else ''} that took more"
    words += ". " + _memory_peaks(evidence)
    more = remedies.more_memory(evidence)
    workers = "# or fewer loader workers per rank: train.loader_workers=auto lets preflight choose them"
    return Diagnosis(
        cause="host_memory",
        summary=words.strip(),
        evidence=(*dict.fromkeys(lines), *evidence.accounting_lines()),
        remedy=((more,) if more else ()) + (workers,),
    )


def time_limit(evidence: Evidence) -> Diagnosis | None:
    """The time the job asked for was over."""
    lines = [line for line, _ in evidence.in_job_log(r"DUE TO TIME LIMIT")]
    state = evidence.accounted.state if evidence.accounted else evidence.job.state if evidence.job else ""
    if not lines and state not in ("TIMEOUT", "DEADLINE"):
        return None
    if first_failure(evidence) is not None or died_before(evidence, lines):
        return None
    lead = evidence.view.lead
    words = "The job reached its time limit"
    needed = None
    if lead is not None and lead.total_steps:
        words += f" at step {lead.step} of {lead.total_steps}"
        needed = (lead.time - lead.started) / max(lead.step, 1) * lead.total_steps if lead.step else None
    words += _hung(evidence) + _checkpoint(evidence) + "."
    return Diagnosis(
        cause="time_limit",
        summary=words,
        evidence=(*lines, *evidence.accounting_lines(steps=False)),
        remedy=(remedies.again(evidence), remedies.more_time(evidence, needed)),
    )


def preemption(evidence: Evidence) -> Diagnosis | None:
    """A job of higher rank took the nodes."""
    lines = [line for line, _ in evidence.in_job_log(r"DUE TO PREEMPTION")]
    if not lines and not (evidence.accounted is not None and evidence.accounted.state == "PREEMPTED"):
        return None
    if first_failure(evidence) is not None:
        return None
    return Diagnosis(
        cause="preemption",
        summary=f"A job of higher priority took the nodes of job {evidence.view.job}{_checkpoint(evidence)}.",
        evidence=(*lines, *evidence.accounting_lines(steps=False)),
        remedy=(remedies.again(evidence),),
    )


def node_failure(evidence: Evidence) -> Diagnosis | None:
    """A node went down or stopped answering."""
    matches = evidence.in_job_log(r"Node failure on (\S+)|DUE TO NODE FAILURE")
    state = evidence.accounted.state if evidence.accounted else evidence.job.state if evidence.job else ""
    if not matches and state not in ("NODE_FAIL", "BOOT_FAIL"):
        return None
    if first_failure(evidence) is not None:
        return None
    names = [match[1] for _, match in matches if match[1]]
    node = names[0] if names else None
    where = f"Node {node} failed" if node else "A node of the job failed"
    remedy = [remedies.again(evidence)]
    if node:
        remedy.append(remedies.resubmit(evidence, f"--exclude={node}"))
    return Diagnosis(
        cause="node_failure",
        summary=f"{where} while job {evidence.view.job} ran on it{_checkpoint(evidence)}.",
        evidence=(*(line for line, _ in matches), *evidence.accounting_lines(steps=False)),
        remedy=tuple(remedy),
    )


def cancelled(evidence: Evidence) -> Diagnosis | None:
    """Someone ended the job."""
    row = evidence.accounted
    state = row.state if row is not None else evidence.job.state if evidence.job is not None else ""
    if state != "CANCELLED":
        return None
    by = row.cancelled_by if row is not None else None
    lines = [line for line, _ in evidence.in_job_log(r"\*\*\* JOB \S+ ON \S+ CANCELLED AT \S+ \*\*\*")]
    if first_failure(evidence) is not None or died_before(evidence, lines):
        return None
    never = row is not None and row.node_list is None
    words = f"Job {evidence.view.job} was cancelled" + (f" by {_user(by)}" if by is not None else "")
    words += " before it started" if never else _hung(evidence) + _checkpoint(evidence)
    return Diagnosis(
        cause="cancelled",
        summary=words + ".",
        evidence=(*lines, *evidence.accounting_lines(steps=False)),
        remedy=(remedies.again(evidence),),
    )


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _checkpoint(evidence: Evidence) -> str:
    if evidence.checkpoint is None:
        return "; no checkpoint exists yet, so it would start from the beginning"
    name, written = evidence.checkpoint
    return f"; the newest checkpoint, {name}, is {write_duration(evidence.now - written)} old"


def _hung(evidence: Evidence) -> str:
    """Whether ranks had been silent for long when the job was ended."""
    seen, row = evidence.view.last_seen, evidence.accounted
    ended = seconds(row.end) if row is not None else None
    if seen is None or ended is None or ended - seen < 600:
        return ""
    return f", its ranks having been silent for {write_duration(ended - seen)} by then: it may have hung"


def _node_of(line: Line) -> str:
    """` on gl002` of a line that the daemon of that node wrote."""
    match = re.search(r"slurmstepd-(\S+): ", line.text)
    return f" on {match[1]}" if match else ""


def _memory_peaks(evidence: Evidence) -> str:
    beats = evidence.view.statuses.values()
    peaks = [row.max_rss_bytes for row in evidence.steps if row.max_rss_bytes]
    parts = []
    if peaks:
        parts.append(f"the largest task used {gigabytes(max(peaks))} GB by Slurm's samples")
    if any(beat.host_bytes for beat in beats):
        largest = max(beats, key=lambda beat: beat.host_bytes)
        parts.append(f"rank {largest.rank} held {gigabytes(largest.host_bytes)} GB at its last heartbeat")
    text = "; ".join(parts)
    return re.sub(r"^.", lambda first: first[0].upper(), text) + "." if text else ""
