"""Measures in a separate process, so that running out of memory ends the measurement and not the preflight."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from navforge.core.errors import NavforgeError
from navforge.core.os_errors import describe_os_error
from navforge.core.semaphores import released_at_the_end
from navforge.core.sizes import write_size
from navforge.preflight.estimate import load_in_words, seconds
from navforge.preflight.finding import REFUSED, Finding, ok, refused, refused_by, warning
from navforge.preflight.request import LOADING, STAGES, STEP, Measured, Request
from navforge.preflight.steps import StepCost, StepSample
from navforge.runs.status import CAUSES
from navforge.training.ranks.failures import (
    MORE_SHARED_MEMORY,
    OUT_OF_SHARED_MEMORY,
    cause_of,
    is_shared_memory,
)


@released_at_the_end()
def probe(request: Request) -> Measured:
    """Run the measurements; what kills the process is a finding."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    began = loading = time.monotonic()
    end = began + request.seconds
    try:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_measure, args=(request, sending), daemon=False, name="navforge-preflight")
        process.start()
    except OSError as error:
        message, remedy = describe_os_error(error)
        return Measured(findings=(refused(LOADING, f"the probe cannot be started: {message}", remedy),))
    sending.close()
    received: list[tuple[str, Any]] = []
    try:
        while (left := end - time.monotonic()) > 0:
            if not receiving.poll(left):
                break
            received.append(receiving.recv())
            if received[-1] == ("begin", STEP):
                received.append(("start", time.monotonic() - began))
            elif received[-1] == ("begin", LOADING):
                loading = time.monotonic()
            elif received[-1][0] == "loader":
                began += time.monotonic() - loading  # a run does not measure loader workers
            if received[-1][0] == "done":
                process.kill()  # nothing is left to wait for
                process.join()
                return interpret(received, 0, late=False, limit_s=request.seconds)
    except (EOFError, OSError):  # it ended, perhaps in the middle of a message
        process.join(5.0)
    late = process.is_alive()
    if late:
        process.kill()
    process.join()
    return interpret(received, process.exitcode or 0, late=late, limit_s=request.seconds)


def interpret(received: Sequence[tuple[str, Any]], exitcode: int, *, late: bool, limit_s: float) -> Measured:
    """Messages of the process and how it ended, as costs and findings.

    Args:
        received: (kind, value) in order.
        exitcode: of the process, negative for a signal.
        late: it was stopped because its time was up.
        limit_s: the time it had.
    """
    values = dict(received)
    findings = [value for kind, value in received if kind == "finding"]
    stage = values.get("begin", "reading")
    check = STAGES[stage]
    step: StepCost | None = values.get("step")
    samples = tuple(value for kind, value in received if kind == "sample")
    if step is not None:
        step = replace(step, samples=samples, bound=values.get("bound"), host_bytes=values.get("host", 0))
    if late:
        findings.append(
            warning(check, f"not finished within {limit_s:.0f} s, stopped while {stage}", "the run itself will tell")
        )
    elif exitcode == -signal.SIGKILL:
        size = values.get("size")
        at = f" at batch size {size}" if stage == STEP and size else ""
        findings.append(
            refused(check, f"the probe was killed{at}, most likely out of host memory", _less_memory(stage, samples))
        )
        step = None if step is None else replace(step, failed_at=size)
    elif exitcode and not any(finding.level == REFUSED for finding in findings):
        findings.append(refused(check, f"the probe ended with status {exitcode} while {stage}", "see the lines above"))
    elif "out_of_memory" in values and step is not None:
        step = replace(step, failed_at=values["out_of_memory"])
    if step is not None and samples:
        last = samples[-1]
        findings.append(_step_finding(last, step.device))
    return Measured(
        loader=values.get("loader"),
        step=step,
        start_s=values.get("start"),
        checkpoint_s=values.get("checkpoint"),
        findings=tuple(findings),
    )


def _step_finding(sample: StepSample, device: str) -> Finding:
    """The largest measured step, and whether the machine was busy."""
    words = (
        f"batch size {sample.batch_size}: {sample.time.written(seconds)}, {write_size(sample.peak_bytes)} on {device}"
    )
    if not sample.busy:
        return ok(STEP, words)
    got = f"a thread gets {sample.share:.0%} of a CPU" if sample.share < 1 else "repeats differ"
    return warning(
        STEP,
        f"{words}; this machine is busy ({got}, {load_in_words()}), so that times are uncertain",
        "navforge preflight again when other processes have ended gives narrower ranges",
    )


def _less_memory(stage: str, samples: Sequence[StepSample]) -> str:
    if stage != STEP:
        return "train.keep_inputs=false, fewer train.loader_workers, or a machine with more memory"
    return f"train.batch_size={samples[-1].batch_size} passed" if samples else "a smaller train.batch_size"


def _measure(request: Request, connection: Connection) -> None:
    """The process: says what it begins, sends what it finds."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, this process goes, not another
    from navforge.preflight import contract, measuring  # noqa: PLC0415 (imports torch, here only)

    deadline = time.monotonic() + 0.8 * request.seconds
    stage = ["reading"]

    def send(kind: str, value: Any) -> None:
        if kind == "begin":
            stage[0] = value
        connection.send((kind, value))

    try:
        measuring.measure(request, send, deadline)
    except Exception as error:  # the boundary to code under test: whatever it raises is what the run would raise
        contract.show_users_traceback(error, request.config.classes)
        send("finding", finding_of(error, stage[0]))
    send("done", None)


def finding_of(error: Exception, stage: str) -> Finding:
    """What the run would end by, as a refusal of the stage's check, in the words of `navforge diagnose`.

    An error of a loader worker comes with the worker's traceback as its text, of which the last line is the error.
    """
    check, text = STAGES[stage], str(error)
    where = stage
    if "in DataLoader worker process" in text:
        where = "a loader worker"
        text = text.strip().splitlines()[-1].removeprefix(f"{type(error).__module__}.").strip()
        text = text.removeprefix(f"{type(error).__name__}: ")
    if isinstance(error, NavforgeError):
        return refused_by(check, type(error)(text))
    cause = cause_of(error)
    if cause == "host_memory" and is_shared_memory(text):
        return refused(check, f"{where} fails: {OUT_OF_SHARED_MEMORY}: {text}", MORE_SHARED_MEMORY)
    if cause in ("host_memory", "gpu_memory"):
        detail = f": {text}" if text else ""
        return refused(check, f"{where} fails: {CAUSES[cause]}{detail}", _less_memory(stage, ()))
    if isinstance(error, OSError):
        message, remedy = describe_os_error(error) if error.strerror else (text, describe_os_error(error)[1])
        return refused(check, f"{where} fails: {message}", remedy)
    return refused(check, f"{where} fails: {type(error).__name__}: {text}", "correct it; training would end by it")
