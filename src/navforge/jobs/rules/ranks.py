"""Rules about what a rank itself recorded of its end."""

from __future__ import annotations

import re

from navforge.jobs import remedies
from navforge.jobs.diagnosis import Diagnosis
from navforge.jobs.evidence import Evidence, Line
from navforge.jobs.first_failure import first_failure, killed_first, ranks_in_words
from navforge.jobs.units import gigabytes
from navforge.runs.status import Failure
from navforge.training.ranks.failures import MORE_SHARED_MEMORY, OUT_OF_SHARED_MEMORY, is_shared_memory

SHOWN_TOKENS = 8
_FILE = re.compile(r"\(file (?P<file>.+?)\)")


def recorded_failure(evidence: Evidence) -> Diagnosis | None:
    """The first failure a rank recorded."""
    failure = first_failure(evidence)
    if failure is None or killed_first(evidence, failure):
        return None
    return TELLERS[failure.cause](evidence, failure)


def _rendezvous(evidence: Evidence, failure: Failure) -> Diagnosis:
    missing = evidence.view.missing
    words = f"The ranks did not meet: {_message(failure)}."
    silent = [rank for rank in missing if not evidence.rank_logs.get(rank)]
    if silent:
        words += f" Nothing was ever heard of {ranks_in_words(tuple(silent))}: not even a log."
    return _diagnosis(
        evidence,
        failure,
        "rendezvous",
        words,
        remedies.again(evidence),
        remedies.logs(evidence, missing[0] if missing else 0),
    )


def _preflight(evidence: Evidence, failure: Failure) -> Diagnosis:
    words = f"The preflight on the node refused the run: {_message(failure)}."
    return _diagnosis(evidence, failure, "preflight", words, remedies.logs(evidence, failure.rank))


def _evaluation(evidence: Evidence, failure: Failure) -> Diagnosis:
    words = f"The planner could not be evaluated{_at(failure)}, so training was stopped: {_message(failure)}."
    words += _scenes(failure)
    return _diagnosis(evidence, failure, "evaluation", words, remedies.logs(evidence, failure.rank))


def _non_finite(evidence: Evidence, failure: Failure) -> Diagnosis:
    words = f"Training stopped{_at(failure)} because {_sentence(failure)}.{_scenes(failure)}"
    rate = remedies.config_value(evidence, "learning_rate")
    lower = f"{float(rate) / 2:g}" if rate is not None else "HALF"
    return _diagnosis(
        evidence,
        failure,
        "non_finite",
        words,
        remedies.train(evidence, learning_rate=lower),
        remedies.check_data(evidence),
    )


def _corrupt_sample(evidence: Evidence, failure: Failure) -> Diagnosis:
    file = _FILE.search(failure.error)
    words = f"Training stopped{_at(failure)} at a scene that cannot be read: {_message(failure)}."
    words += "" if file is None or file["file"] in words else f" The file is {file['file']}."
    return _diagnosis(
        evidence,
        failure,
        "corrupt_sample",
        words,
        remedies.check_data(evidence),
        remedies.train(evidence, tolerate_corrupt="1"),
    )


def _gpu_memory(evidence: Evidence, failure: Failure) -> Diagnosis:
    held = max((beat.gpu_bytes for beat in evidence.view.statuses.values()), default=0)
    words = f"Rank {failure.rank} ran out of GPU memory{_at(failure)}: {_message(failure)}."
    words += f" At the last heartbeat the fullest rank held {gigabytes(held)} GB." if held else ""
    return _diagnosis(evidence, failure, "gpu_memory", words, *smaller_batch(evidence))


def _host_memory(evidence: Evidence, failure: Failure) -> Diagnosis:
    if is_shared_memory(failure.error + failure.traceback):
        words = f"Rank {failure.rank} ran {OUT_OF_SHARED_MEMORY}{_at(failure)}: {_message(failure)}."
        return _diagnosis(evidence, failure, "shared_memory", words, "df -h /dev/shm", f"# {MORE_SHARED_MEMORY}")
    words = f"Rank {failure.rank} ran out of host memory{_at(failure)}: {_message(failure)}."
    oom = [line for line, _ in evidence.in_job_log(r"oom[-_]kill|Out Of Memory$|exceeded memory limit")]
    more = remedies.more_memory(evidence)
    workers = remedies.train(evidence, loader_workers="auto")
    diagnosis = _diagnosis(evidence, failure, "host_memory", words, *((more,) if more else ()), workers)
    return Diagnosis(**{**vars(diagnosis), "evidence": (*diagnosis.evidence, *oom)})


def _disk_full(evidence: Evidence, failure: Failure) -> Diagnosis:
    words = f"There was no room on the disk{_at(failure)} for rank {failure.rank}: {_message(failure)}."
    return _diagnosis(
        evidence, failure, "disk_full", words, f"df -h {remedies.quoted(evidence)}", remedies.again(evidence)
    )


def _user_error(evidence: Evidence, failure: Failure) -> Diagnosis:
    words = f"Something the run was asked for is wrong, says rank {failure.rank}: {_message(failure)}."
    return _diagnosis(evidence, failure, "user_error", words, *remedies.corrected(evidence))


def _error(evidence: Evidence, failure: Failure) -> Diagnosis:
    others = [other for other in evidence.view.failures if other.rank != failure.rank]
    words = f"Rank {failure.rank} ended first, with a Python error{_at(failure)}: {_message(failure)}."
    words += f" The other ranks ended because of it ({len(others)} recorded that)." if others else ""
    return _diagnosis(
        evidence, failure, "rank_error", words, remedies.logs(evidence, failure.rank), remedies.again(evidence)
    )


TELLERS = {
    "rendezvous": _rendezvous,
    "preflight": _preflight,
    "evaluation": _evaluation,
    "non_finite": _non_finite,
    "corrupt_sample": _corrupt_sample,
    "gpu_memory": _gpu_memory,
    "host_memory": _host_memory,
    "disk_full": _disk_full,
    "user_error": _user_error,
    "error": _error,
}
"""By the cause a rank gives (`runs.status.CAUSES`)."""


def smaller_batch(evidence: Evidence) -> tuple[str, ...]:
    """The command that halves the scenes per step and rank, keeping the gradient's."""
    batch, steps = remedies.config_value(evidence, "batch_size"), remedies.config_value(evidence, "accumulate")
    if batch is None or not batch.isdigit() or int(batch) < 2:
        return (remedies.train(evidence, batch_size="auto"),)
    return (remedies.train(evidence, batch_size=str(int(batch) // 2), accumulate=str(2 * int(steps or 1))),)


def _diagnosis(evidence: Evidence, failure: Failure, cause: str, words: str, *remedy: str) -> Diagnosis:
    path = evidence.view.folder.failure_file(failure.rank)
    shown = [evidence.record_line(path, "error")]
    if failure.tokens:
        shown.append(evidence.record_line(path, "tokens"))
    shown += _in_log(evidence, failure)
    return Diagnosis(cause=cause, summary=words, evidence=tuple(shown), remedy=remedy)


def _in_log(evidence: Evidence, failure: Failure) -> list[Line]:
    """The last line of the rank's log that holds the error's first line."""
    first = failure.error.partition("\n")[0]
    needle = first.partition(": ")[2] or first
    lines = [line for line in evidence.rank_logs.get(failure.rank, ()) if needle and needle in line.text]
    return lines[-1:]


def _message(failure: Failure) -> str:
    """The error in one line, without its type where that is navforge's own."""
    text = " ".join(failure.error.split())
    kind, _, rest = text.partition(": ")
    own = kind.endswith(("TrainingError", "NavforgeError", "ConfigError", "DataError", "RendezvousError"))
    shown = rest if rest and (own or kind == "CorruptSample") else text
    return (shown if len(shown) <= 400 else shown[:397] + "...").rstrip(".")


def _sentence(failure: Failure) -> str:
    text = _message(failure)
    return text[:1].lower() + text[1:]


def _at(failure: Failure) -> str:
    return f" at step {failure.step}" if failure.step else ""


def _scenes(failure: Failure) -> str:
    if not failure.tokens or all(token in _message(failure) for token in failure.tokens):
        return ""
    more = f" and {len(failure.tokens) - SHOWN_TOKENS} more" if len(failure.tokens) > SHOWN_TOKENS else ""
    return f" Scenes of that batch: {', '.join(failure.tokens[:SHOWN_TOKENS])}{more}."
