"""Measures in a process of its own, so that running out of memory ends the measurement and not the preflight."""

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
from navforge.preflight.estimate import load_in_words, seconds
from navforge.preflight.finding import REFUSED, Finding, ok, refused, warning
from navforge.preflight.memory import gib
from navforge.preflight.request import LOADING, STAGES, STEP, Measured, Request
from navforge.preflight.steps import StepCost, StepSample


def probe(request: Request) -> Measured:
    """Run the measurements; what kills the process is a finding."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(request, sending), daemon=False, name="navforge-preflight")
    began = loading = time.monotonic()
    end = began + request.seconds
    process.start()
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
    except EOFError:
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
        at = f" at a batch of {size} scenes" if stage == STEP and size else ""
        findings.append(
            refused(check, f"the probe was killed{at}, most likely out of memory", _less_memory(stage, samples))
        )
        step = None if step is None else replace(step, failed_at=size)
    elif exitcode and not any(finding.level == REFUSED for finding in findings):
        findings.append(refused(check, f"the probe ended with status {exitcode} while {stage}", "see the lines above"))
    elif "out_of_memory" in values and step is not None:
        step = replace(step, failed_at=values["out_of_memory"])
    if step is not None and samples:
        last = samples[-1]
        findings.append(_step_finding(last, step.device))
    return Measured(loader=values.get("loader"), step=step, start_s=values.get("start"), findings=tuple(findings))


def _step_finding(sample: StepSample, device: str) -> Finding:
    """The largest measured step, and whether the machine was busy."""
    words = f"{sample.batch_size} scenes: {sample.time.written(seconds)}, {gib(sample.peak_bytes)} on {device}"
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
    except NavforgeError as error:
        message, _, remedy = str(error).rpartition("; ")
        send("finding", refused(STAGES[stage[0]], message or str(error), remedy if message else "see the message"))
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        # The boundary to code under test: whatever it raises is what the run would raise.
        contract.show_users_traceback(error, request.config.planner)
        send(
            "finding",
            refused(
                STAGES[stage[0]], f"{stage[0]} fails: {type(error).__name__}: {error}", "mend it; training would end so"
            ),
        )
    send("done", None)
