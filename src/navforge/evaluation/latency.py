"""How long an agent takes for one scene, and how much memory: inference at batch 1."""

from __future__ import annotations

import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from navforge.agents.contract import Agent
from navforge.core.errors import DataError
from navforge.data.scenes import Scene

WARM_UP = 5
"""Scenes planned for before time is taken: kernels are chosen and memory is allocated in the first."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times of single scenes, in ms."""

    median_ms: float
    p95_ms: float
    """95 of 100 scenes take no longer."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Inference of one scene at a time."""

    device: str
    """Name of the GPU or of the CPU."""
    threads: int | None
    """CPU threads of torch; None where torch is not loaded."""
    repeats: int
    """Scenes that were timed, after `WARM_UP` others."""
    scene: Times
    """From the scene to its plan: sensor files read and prepared, the network, the plan on the CPU."""
    network: Times | None
    """The network alone, its inputs on the device; None for agents that have none to tell apart."""
    peak_memory_bytes: int
    """Of a GPU what torch allocated at most while time was taken, weights included; of a CPU the largest resident
    memory of the process so far, libraries included."""


def measure_latency(agent: Agent, scenes: Sequence[Scene], repeats: int) -> Latency:
    """Plan for single scenes and take the time.

    Args:
        agent: ready to plan.
        scenes: taken one by one, again from the first if there are fewer than repeats.
        repeats: scenes that count.

    Raises:
        DataError: there is no scene.
    """
    if not scenes:
        raise DataError("latency: the split has no scene to plan for")
    chosen = list(islice(cycle(scenes), WARM_UP + repeats))
    on_gpu = agent.device == "cuda"
    if on_gpu:
        _cuda().reset_peak_memory_stats()
    whole = [_seconds(lambda scene=scene: agent.plan([scene])) for scene in chosen]
    network: list[float] = []
    for scene in chosen:
        if (forward := agent.forward_of(scene)) is not None:
            network.append(_seconds(forward))
    torch = sys.modules.get("torch")
    return Latency(
        device=_cuda().get_device_name() if on_gpu else _cpu_name(),
        threads=None if torch is None else torch.get_num_threads(),
        repeats=repeats,
        scene=_times(whole[WARM_UP:]),
        network=_times(network[WARM_UP:]) if network else None,
        peak_memory_bytes=_cuda().max_memory_allocated() if on_gpu else _peak_resident(),
    )


def render_latency(found: Latency) -> str:
    """The latency in one line."""
    network = "" if found.network is None else f", the network alone {_words(found.network)}"
    threads = f", {found.threads} threads" if found.threads and found.device == _cpu_name() else ""
    return (
        f"latency at batch 1: {_words(found.scene)} a scene{network}; peak memory "
        f"{found.peak_memory_bytes / 2**30:.2f} GiB ({found.device}{threads}, {found.repeats} scenes)"
    )


def _words(times: Times) -> str:
    return f"{times.median_ms:.2f} ms (95 % below {times.p95_ms:.2f})"


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _times(seconds: Sequence[float]) -> Times:
    median, p95 = np.percentile(np.array(seconds) * 1e3, [50, 95])
    return Times(median_ms=float(median), p95_ms=float(p95))


def _cuda() -> Any:
    import torch  # noqa: PLC0415 (only where an agent has loaded it)

    return torch.cuda


def _peak_resident() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cpu_name() -> str:
    cpus = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", cpus.read_text(), re.MULTILINE) if cpus.is_file() else None
    return named.group(1) if named else platform.processor() or platform.machine()
