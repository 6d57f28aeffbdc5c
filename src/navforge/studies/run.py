"""Nodes of a study on this machine: in the order of what they read, several at once, each a process of its own.

A node is done where its file is there afterwards, whatever its process said. One that failed stops only what reads it.
While a process works at a node, or one that it started, the node's log is locked: a command that goes on after
`kill -9` waits for what the killed one left behind, and starts nothing twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from navforge.core.files import lock
from navforge.core.interrupts import end_with_parent
from navforge.core.parallel import available_cpus
from navforge.core.screen import say
from navforge.runs import exits
from navforge.studies.graph import EVALUATE, RUNS, STAGE, Graph, Node
from navforge.studies.state import START, log_path, remedy, why

BUILDS = ("town", "cache", "teach", "pack", "encode")
"""Verbs whose products are stale after a change of the code that makes them."""
COMMAND = (sys.executable, "-m", "navforge")
_POLL_S = 0.1
_STOP_GRACE_S = 330.0
"""From SIGTERM to SIGKILL: a run writes a checkpoint first (`launch.local.STOP_GRACE_S`)."""


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many nodes work at once, and what each gets of the machine."""

    at_once: int
    gpus: tuple[str, ...] = ()
    """Names for `CUDA_VISIBLE_DEVICES`; shared out where there are several."""

    def environment(self, slot: int) -> dict[str, str]:
        """Of a process in a slot."""
        if len(self.gpus) < 2:
            return {}
        share = self.gpus[slot :: self.at_once] or (self.gpus[slot % len(self.gpus)],)
        return {"CUDA_VISIBLE_DEVICES": ",".join(share)}

    def words(self, node: Node) -> list[str]:
        """Further words of a node that would take all CPUs."""
        if node.verb != EVALUATE or any(word.startswith("workers=") for word in node.words):
            return []
        return [f"workers={max(1, available_cpus() // self.at_once)}"]


@dataclass(kw_only=True)
class _Process:
    """A node that is being made."""

    node: Node
    slot: int
    process: subprocess.Popen[bytes]
    began: float


def run_nodes(graph: Graph, names: Sequence[str], slots: Slots, *, command: Sequence[str] = COMMAND) -> list[Node]:
    """Make the nodes that are not done, check the stages that these read; return those that are not done afterwards.

    Args:
        graph: of the study.
        names: nodes to make, in the order in which they begin. One is not begun where what it reads is neither among
            them nor done.
        slots: of this machine.
        command: what a verb and its words are given to.
    """
    read = {need for name in names if not graph.nodes[name].done for need in graph.nodes[name].needs}
    stages = [node for name in read if (node := graph.nodes[name]).done and not graph.takes_over(node)]
    checked = {node.name for node in stages if node.verb in BUILDS}
    left = [graph.nodes[name] for name in names if not graph.nodes[name].done or name in checked]
    run = _Run(graph=graph, slots=slots, command=command, left=left, total=len(left), checked=checked)
    try:
        while run.left or run.working:
            run.collect()
            run.drop()
            if not run.start_next():
                time.sleep(_POLL_S)
    finally:
        run.stop()
    return list(run.failed.values())


@dataclass(kw_only=True)
class _Run:
    """What is left, what works and what failed."""

    graph: Graph
    slots: Slots
    command: Sequence[str]
    left: list[Node]
    total: int
    checked: set[str]
    """Stages that are begun though they may be done: their verb keeps what is whole and of this code."""
    working: list[_Process] = field(default_factory=list)
    failed: dict[str, Node] = field(default_factory=dict)
    waited: set[str] = field(default_factory=set)
    """Nodes that an earlier command's process works at, once that was said."""

    def collect(self) -> None:
        """Take note of processes that have ended."""
        for one in [one for one in self.working if one.process.poll() is not None]:
            self.working.remove(one)
            took = f"{time.monotonic() - one.began:.0f} s"
            if one.node.done:
                self._say(one.node, f"done, {took}")
                continue
            self.failed[one.node.name] = one.node
            self._say(one.node, f"failed after {took}: {why(self.graph, one.node)}")
            say(f"    {remedy(self.graph, one.node)}", flush=True)

    def drop(self) -> None:
        """Give up nodes that read one that is not there and will not be."""
        coming = {node.name for node in self.left} | {one.node.name for one in self.working}
        for node in self.left.copy():
            if any(need not in coming and not self.graph.nodes[need].done for need in node.needs):
                self.left.remove(node)
                self.failed[node.name] = node
                self._say(node, f"not run, {why(self.graph, node)}")

    def start_next(self) -> bool:
        """Start the first node that can be; whether there was one."""
        if len(self.working) >= self.slots.at_once or any(_takes_all(one.node) for one in self.working):
            return False
        unfinished = {node.name for node in self.left} | {one.node.name for one in self.working}
        for node in self.left:
            if not unfinished.isdisjoint(node.needs) or (_takes_all(node) and self.working):
                continue
            log = _held_log(log_path(self.graph.out, node))
            if log is None:
                if node.name not in self.waited:
                    say(f"{node.name}: what an earlier command started still works at it; waiting", flush=True)
                self.waited.add(node.name)
                continue
            self.left.remove(node)
            with log:
                if node.done and node.name not in self.checked:
                    self._say(node, "done by what an earlier command started")
                else:
                    self._start(node, log)
            return True
        return False

    def _start(self, node: Node, log: IO[bytes]) -> None:
        slot = min(set(range(self.slots.at_once)) - {one.slot for one in self.working})
        words = [*self.command, node.verb, *node.words, *self.slots.words(node)]
        mark_start(log, words)
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.slots.environment(slot)},
            start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid(), exits.STOPPED),  # noqa: PLW1509 (no thread)
        )
        self.working.append(_Process(node=node, slot=slot, process=process, began=time.monotonic()))
        say(f"{node.name} ...", flush=True)

    def _say(self, node: Node, what: str) -> None:
        ended = self.total - len(self.left) - len(self.working)
        say(f"[{ended}/{self.total}] {node.name}: {what}", flush=True)

    def stop(self) -> None:
        """End what still works, where this process was asked to end: runs write a checkpoint."""
        for one in self.working:
            with suppress(ProcessLookupError):
                one.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_GRACE_S
        for one in self.working:
            try:
                one.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(one.process.pid, signal.SIGKILL)


def mark_start(log: IO[bytes], words: Sequence[str]) -> None:
    """Write into a node's log that a command starts which is to make it."""
    log.write(f"{START}{time.strftime('%FT%T%z')}: {' '.join(words)}\n".encode())
    log.flush()


def _takes_all(node: Node) -> bool:
    """Whether a node is given the whole machine: a stage that spreads its logs over all CPUs."""
    return node.kind == STAGE and node.verb not in RUNS


def _held_log(path: Path) -> IO[bytes] | None:
    """A log, locked by whoever has it open from now on; None where a process of an earlier command has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = open(path, "ab")  # noqa: SIM115 (the caller closes it)
    try:
        lock(log.fileno())
    except BlockingIOError:
        log.close()
        return None
    return log
