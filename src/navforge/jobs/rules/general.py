"""Rules about ends that neither a rank's own record nor a limit of Slurm explains."""

from __future__ import annotations

import re
import signal

from navforge.core.durations import write_duration
from navforge.jobs import remedies
from navforge.jobs.diagnosis import Diagnosis
from navforge.jobs.evidence import Evidence, Line, read_lines
from navforge.jobs.first_failure import Death, asked_ends, deaths, ranks_in_words
from navforge.jobs.rules.ranks import smaller_batch
from navforge.jobs.units import clock, gigabytes
from navforge.runs import exits
from navforge.runs.processes import is_alive

FULL_BYTES = 1_000_000
"""With less room than this not even records can be relied upon."""
REFUSED = "navforge: error: "
"""How the command line begins what it has to say to a user."""
_TRACEBACK_END = r"^(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Sample)): ?(?P<said>.*)$"
_CONSEQUENCE = r"closed by peer|reset by peer|remote process exited|Broken pipe|Watchdog caught|DistBackendError"
_GPU_MEMORY = r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
_DISK_FULL = r"No space left on device|Disk quota exceeded|File too large|OSError: \[Errno (?:28|122|27)\]"
_RENDEZVOUS = (
    r"Timed out after \d+ seconds waiting for clients\. (?P<joined>\d+)/(?P<all>\d+) clients joined"
    r"|The client socket has timed out after \d+ms while trying to connect to \((?P<address>[^)]*)\)"
)
_SHELL = (
    r"slurmstepd\S*: error: execve\(\)|slurm_script: line \d+: .*(?:command not found|No such file or directory)"
    r"|srun: error: .*(?:Unable to create step|task launch|invalid|Invalid|unrecognized)"
    r"|sbatch: error: |slurmstepd\S*: error: (?:couldn't|could not) (?:chdir|open)"
)


def written_in_a_log(evidence: Evidence) -> Diagnosis | None:
    """A rank died before it could record why, but its log says."""
    if found := evidence.in_logs(_GPU_MEMORY):
        return Diagnosis(
            cause="gpu_memory",
            summary="A rank ran out of GPU memory.",
            evidence=(found[0][0],),
            remedy=smaller_batch(evidence),
        )
    if found := evidence.in_logs(_DISK_FULL):
        return Diagnosis(
            cause="disk_full",
            summary="There was no room on the disk for what the run wrote.",
            evidence=tuple(line for line, _ in found[:3]),
            remedy=(f"df -h {remedies.quoted(evidence)}", remedies.again(evidence)),
        )
    if found := evidence.in_logs(_RENDEZVOUS):
        match = found[0][1]
        came = f"{match['joined']} of {match['all']} came" if match["joined"] else f"{match['address']} did not answer"
        return Diagnosis(
            cause="rendezvous",
            summary=f"The ranks did not meet: {came}.{_never_heard(evidence)}",
            evidence=tuple(line for line, _ in found[:3]),
            remedy=(remedies.again(evidence), remedies.logs(evidence)),
        )
    return None


def disk_is_full(evidence: Evidence) -> Diagnosis | None:
    """No rank could write why it ended, and there is no room to write anything."""
    if evidence.free_bytes is None or evidence.free_bytes >= FULL_BYTES or _last_words(evidence):
        return None
    said = f"{evidence.free_bytes / 1e6:.1f} MB are free"
    return Diagnosis(
        cause="disk_full",
        summary=f"The disk of the run folder is full ({said}), so that no rank could write why it ended.",
        evidence=(Line("df", 0, f"{evidence.view.folder.path}: {said}"), *evidence.accounting_lines()),
        remedy=(f"df -h {remedies.quoted(evidence)}", remedies.again(evidence)),
    )


def rank_killed(evidence: Evidence) -> Diagnosis | None:
    """A signal ended a rank, and nothing tells who sent it."""
    dead = [death for death in deaths(evidence) if death.status not in (exits.REQUEUE_ME, exits.STOPPED)]
    if not dead or not dead[0].signal or dead[0].signal == signal.SIGTERM:
        return None
    first = dead[0]
    name = signal.Signals(first.signal).name
    where = f" on {first.node}" if first.node else ""
    words = f"{ranks_in_words(first.ranks).capitalize()}{where} ended first, killed by {name}"
    words += _who(evidence, first)
    words += " The other ranks ended because of it." if evidence.view.record.world_size > len(first.ranks) else ""
    shown = [death.line for death in dead[:3]]
    if first.signal == signal.SIGBUS:
        return Diagnosis(
            cause="shared_memory",
            summary=words + " A bus error of a rank most often means that /dev/shm is full.",
            evidence=tuple(shown),
            remedy=("df -h /dev/shm", remedies.again(evidence)),
        )
    return Diagnosis(
        cause="rank_killed",
        summary=words,
        evidence=(*shown, *evidence.accounting_lines()),
        remedy=(remedies.again(evidence), remedies.logs(evidence, first.ranks[0])),
    )


def rank_exited(evidence: Evidence) -> Diagnosis | None:
    """A rank ended with a bad status and recorded nothing; its log may say more."""
    dead = [death for death in deaths(evidence) if death.status not in (exits.REQUEUE_ME, exits.STOPPED)]
    if not dead or dead[0].signal:
        return None
    first = dead[0]
    rank = first.ranks[0]
    where = f" on {first.node}" if first.node else ""
    words = f"{ranks_in_words(first.ranks).capitalize()}{where} ended first, with {exits.describe(first.status)}"
    refused = [item for item in evidence.rank_lines(rank) if item[1].startswith(REFUSED)]
    if refused and first.status == exits.USER_ERROR:
        line, said = refused[-1]
        return Diagnosis(
            cause="user_error",
            summary=f"{words}: {said.removeprefix(REFUSED)}",
            evidence=(line, first.line),
            remedy=(remedies.logs(evidence, rank),),
        )
    error = _last_error(evidence, rank)
    words += f": {error[1].strip()}." if error is not None else "; it left no word of why."
    shown = (*((error[0],) if error is not None else ()), first.line, *evidence.accounting_lines())
    return Diagnosis(
        cause="rank_error",
        summary=words,
        evidence=shown,
        remedy=(remedies.logs(evidence, rank), remedies.again(evidence)),
    )


def stopped(evidence: Evidence) -> Diagnosis | None:
    """The ranks ended on a signal after a checkpoint."""
    view = evidence.view
    phases = {beat.phase for beat in view.statuses.values()}
    if evidence.state.name != "stopped" or not phases or not phases <= {"stopped", "finished"}:
        return None
    lead = view.lead
    assert lead is not None  # there are phases
    words = f"The ranks stopped at step {lead.step} of {lead.total_steps} after a checkpoint"
    shown = [evidence.record_line(view.folder.status_file(lead.rank), "phase"), *evidence.accounting_lines(steps=False)]
    wishes = [wish for wish in view.requests if wish.action == "cancel"]
    if wishes:
        last = wishes[-1]
        lines = read_lines(view.folder.requests, view.folder)
        shown += [line for line in lines if repr(last.time) in line.text]
        return Diagnosis(
            cause="cancelled",
            summary=f"{words}: {last.by} cancelled the run at {clock(last.time, evidence.now)}.",
            evidence=tuple(shown),
            remedy=(remedies.again(evidence),),
        )
    return Diagnosis(
        cause="stopped",
        summary=f"{words}, as a signal (SIGTERM, or SIGUSR1 near the time limit) told them to.",
        evidence=tuple(shown),
        remedy=(remedies.again(evidence),),
    )


def stopped_early(evidence: Evidence) -> Diagnosis | None:
    """The supervisor of a local run ended its ranks before they could answer a signal."""
    view = evidence.view
    shown = asked_ends(evidence)
    if evidence.state.name != "stopped" or not shown or deaths(evidence):
        return None
    if evidence.checkpoint is None:
        saved = "no checkpoint exists, so the same command starts from the beginning"
    else:
        saved = f"the newest checkpoint is {evidence.checkpoint[0]}"
    wishes = [wish for wish in view.requests if wish.action == "cancel"]
    if wishes:
        last = wishes[-1]
        lines = read_lines(view.folder.requests, view.folder)
        words = f"{last.by} cancelled the run at {clock(last.time, evidence.now)}"
        shown = [*(line for line in lines if repr(last.time) in line.text), *shown]
    else:
        words = "A signal (SIGTERM or SIGUSR1) told the run to end"
    return Diagnosis(
        cause="cancelled" if wishes else "stopped",
        summary=f"{words} before its ranks could end by themselves; {saved}.",
        evidence=tuple(shown[:4]),
        remedy=(remedies.again(evidence),),
    )


def hang(evidence: Evidence) -> Diagnosis | None:
    """Every rank that told anything told that another did not answer."""
    view = evidence.view
    peers = [failure for failure in view.failures if failure.cause == "peer"]
    if not peers:
        return None
    reporting = {failure.rank for failure in peers}
    quiet = tuple(rank for rank in range(view.record.world_size) if rank not in reporting)
    shown = tuple(evidence.record_line(view.folder.failure_file(f.rank), "error") for f in peers[:3])
    if quiet:
        beats = [view.statuses[rank] for rank in quiet if rank in view.statuses]
        last = max((beat.time for beat in beats), default=None)
        since = f"; last heartbeat {write_duration(peers[0].time - last)} before the first complaint" if last else ""
        gone = [beat.rank for beat in beats if is_alive(beat.node, beat.pid, beat.time) is False]
        words = f"{ranks_in_words(quiet).capitalize()} stopped answering and left no word of why{since}"
        words += "; the process is gone, so something killed it." if gone else "."
        words += " The other ranks ended because of it."
        if beats:
            shown += (evidence.record_line(view.folder.status_file(beats[0].rank), "time"),)
    else:
        words = "All ranks gave up waiting for each other, and none of them says why."
    return Diagnosis(
        cause="hang",
        summary=words,
        evidence=shown,
        remedy=(remedies.logs(evidence, quiet[0] if quiet else 0), remedies.again(evidence)),
    )


def script_failed(evidence: Evidence) -> Diagnosis | None:
    """The batch script itself failed before ranks ran."""
    if evidence.view.statuses or any(evidence.rank_logs.values()):
        return None
    lines = [line for line, _ in evidence.in_job_log(_SHELL)]
    batch = [row for row in evidence.steps if row.step == "batch" and (row.exit_code or row.signal)]
    ranks_ran = any(row.step is not None and row.step.isdigit() for row in evidence.steps)
    if lines:
        words = f"No rank ever ran; the batch script failed: {lines[0].text.strip()}."
    elif batch and not ranks_ran and evidence.accounted is not None and evidence.accounted.state == "FAILED":
        words = f"The batch script ended with {exits.describe(batch[0].exit_code)} before it started a rank; "
        words += "the setup lines of the cluster profile come there."
        lines = list(evidence.job_log[-2:])
    else:
        return None
    return Diagnosis(
        cause="user_error",
        summary=words,
        evidence=(*lines[:4], *evidence.accounting_lines()),
        remedy=(remedies.logs(evidence), remedies.again(evidence)),
    )


def not_started(evidence: Evidence) -> Diagnosis | None:
    """There is a folder, and nothing else."""
    view = evidence.view
    if view.job is not None or view.statuses or evidence.job_log or any(evidence.rank_logs.values()):
        return None
    refusal = read_lines(view.folder.submission, view.folder)
    if refusal:
        return Diagnosis(
            cause="not_started",
            summary="Slurm refused the job, so that no rank ever ran.",
            evidence=refusal[:4],
            remedy=(
                "# correct the cluster profile or the limits Slurm names; the preflight checks them:",
                remedies.original(evidence, "preflight"),
                remedies.original(evidence),
            ),
        )
    return Diagnosis(
        cause="not_started",
        summary="The run folder names no job, and no rank ever wrote into it: it was prepared, not started.",
        evidence=(evidence.record_line(view.folder.record_file, "jobs"),),
        remedy=(remedies.again(evidence),),
    )


def unknown(evidence: Evidence) -> Diagnosis:
    """Nothing known explains the end; says what is known."""
    view, state = evidence.view, evidence.state
    words = f"What ended the run is unknown. Its state is {state.name}" + (f" ({state.note})" if state.note else "")
    seen = view.last_seen
    lead = view.lead
    if seen is not None and lead is not None:
        ago = write_duration(evidence.now - seen)
        words += f"; the last heartbeat came {ago} ago at step {lead.step}, in phase {lead.phase}"
    memory = max((beat.host_bytes for beat in view.statuses.values()), default=0)
    words += f", the largest rank holding {gigabytes(memory)} GB" if memory else ""
    errors = [line for line, match in evidence.in_logs(_TRACEBACK_END) if not re.search(_CONSEQUENCE, line.text)]
    ends = [line for log in (evidence.job_log, *evidence.rank_logs.values()) for line in log[-1:]]
    return Diagnosis(
        cause="unknown",
        summary=words + ".",
        evidence=(*errors[-2:], *ends[:4], *evidence.accounting_lines()),
        remedy=(remedies.logs(evidence), remedies.again(evidence)),
    )


def _last_words(evidence: Evidence) -> bool:
    """Whether any rank said why it ended, or something outside says it was killed."""
    told = any(_last_error(evidence, rank) for rank in evidence.rank_logs)
    return told or any(death.signal for death in deaths(evidence))


def _last_error(evidence: Evidence, rank: int) -> tuple[Line, str] | None:
    """The end of the last traceback a rank printed, if it is not a consequence of another rank's end."""
    lines = [(line, text) for line, text in evidence.rank_lines(rank) if re.match(_TRACEBACK_END, text)]
    lines = [(line, text) for line, text in lines if not re.search(_CONSEQUENCE, text)]
    return lines[-1] if lines else None


def _who(evidence: Evidence, death: Death) -> str:
    """Who may have sent a signal."""
    if death.signal != signal.SIGKILL:
        return ": an error in compiled code rather than in Python."
    beats = [evidence.view.statuses[rank] for rank in death.ranks if rank in evidence.view.statuses]
    held = beats[0].host_bytes if beats else 0
    memory = f" It held {gigabytes(held)} GB at its last heartbeat." if held else ""
    if evidence.view.record.launch == "slurm":
        return f". Slurm names no limit that it broke, so a person or a program on the node killed it.{memory}"
    return f": by a person, or by the kernel because the machine ran out of memory (dmesg tells).{memory}"


def _never_heard(evidence: Evidence) -> str:
    silent = tuple(rank for rank in evidence.view.missing if not evidence.rank_logs.get(rank))
    return f" Nothing was ever heard of {ranks_in_words(silent)}." if silent else ""
