"""Environment variables of gloo, NCCL and torch by which runs of several ranks hang, fail or get slow.

Sources: `NCCL user guide, Environment Variables <https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html>`_,
for numbers `param.cc` of NCCL, and `ProcessGroupNCCL.hpp` of torch 2.11.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from navforge.core.errors import ConfigError
from navforge.preflight.finding import OK, Finding, ok, refused, refused_by, warning
from navforge.preflight.nccl_names import NCCL_NAMES
from navforge.training.ranks.interfaces import VARIABLES, check_interfaces, matching_interfaces

NETWORK = "network"
LOOPBACK = "lo"
HCA_FOLDER = Path("/sys/class/infiniband")
SWITCHES = {
    "NCCL_P2P_DISABLE": "GPUs of a node exchange gradients through host memory instead of NVLink or PCIe",
    "NCCL_SHM_DISABLE": "GPUs of a node that have no direct path use the network instead of host memory",
    "NCCL_IB_DISABLE": "nodes exchange gradients over TCP sockets instead of InfiniBand or RoCE",
}
"""Variables that switch a transport off if they are 1 -> what then happens."""
DEBUG_LEVELS = ("VERSION", "WARN", "INFO", "TRACE", "ABORT")
RENAMED = ("NCCL_ASYNC_ERROR_HANDLING", "NCCL_BLOCKING_WAIT", "NCCL_DESYNC_DEBUG", "NCCL_ENABLE_TIMING")
"""Variables of torch, which puts `TORCH_` before these names since 2.2 and still reads the old ones."""
ALIKE = 0.85
"""Ratio of `difflib` from which an unknown name is taken for a known one mistyped."""


def check_network(
    environ: Mapping[str, str], nodes: int, devices: int, *, on_gpu: bool, interfaces: Iterable[str] | None = None
) -> Iterator[Finding]:
    """What a rank finds on its node: interfaces, then `check_variables`.

    Args:
        environ: of a rank.
        nodes: of the run.
        devices: ranks of a node.
        on_gpu: whether ranks talk by NCCL.
        interfaces: names this machine has; default: ask the kernel.
    """
    if nodes * devices == 1:
        yield ok(NETWORK, "one rank uses no network")
        return
    backend = "gloo,nccl" if on_gpu else "gloo"
    try:
        check_interfaces(environ, backend, interfaces)
    except ConfigError as error:
        yield refused_by(NETWORK, error)
        return
    findings = list(check_variables(environ, nodes, on_gpu=on_gpu))
    findings += _adapters(environ.get("NCCL_IB_HCA", ""), nodes, on_gpu=on_gpu)
    yield from findings
    if all(finding.level == OK for finding in findings):
        named = [f"{name}={environ[name]}" for name in VARIABLES.values() if environ.get(name)]
        yield ok(NETWORK, ", ".join(named) or "network interfaces are chosen by gloo and NCCL")


def check_variables(environ: Mapping[str, str], nodes: int, *, on_gpu: bool) -> Iterator[Finding]:
    """Values that can be judged anywhere, a batch script's too: loopback, transports, logging, mistyped names."""
    if nodes > 1:
        for kind, variable in VARIABLES.items():
            if (kind == "gloo" or on_gpu) and _only_loopback(environ.get(variable, "")):
                yield refused(
                    NETWORK,
                    f"{variable}={environ[variable]}: other nodes cannot be reached through the loopback interface; "
                    "ranks would wait for each other",
                    f"unset {variable}, or name an interface that every node has",
                )
    if not on_gpu:
        return
    yield from _transports(environ, nodes)
    yield from _debugging(environ)
    for name in ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "NCCL_ASYNC_ERROR_HANDLING"):
        if environ.get(name) == "0":
            yield warning(
                NETWORK, f"{name}=0: a rank whose peer is gone waits for it until the time limit", f"unset {name}"
            )
    for name in sorted(environ):
        if name.startswith("NCCL_") and name not in NCCL_NAMES:
            yield from _unknown(name)


def _transports(environ: Mapping[str, str], nodes: int) -> Iterator[Finding]:
    if environ.get("NCCL_P2P_LEVEL") in ("LOC", "0"):
        level = environ["NCCL_P2P_LEVEL"]
        yield warning(NETWORK, f"NCCL_P2P_LEVEL={level}: {SWITCHES['NCCL_P2P_DISABLE']}", "unset NCCL_P2P_LEVEL")
    for name, effect in SWITCHES.items():
        value = environ.get(name, "")
        if not value or (name == "NCCL_IB_DISABLE" and nodes == 1):
            continue
        if not value.lstrip("-").isdigit():
            yield warning(NETWORK, f"{name}={value} is not a number: NCCL takes it for 0", f"{name}=1, or unset {name}")
        elif int(value):
            yield warning(NETWORK, f"{name}={value}: {effect}", f"unset {name} unless this hardware needs it")


def _debugging(environ: Mapping[str, str]) -> Iterator[Finding]:
    level = environ.get("NCCL_DEBUG", "")
    if level and level.upper() not in DEBUG_LEVELS:
        yield warning(
            NETWORK, f"NCCL_DEBUG={level} is not a level: NCCL logs nothing", "NCCL_DEBUG=WARN, VERSION, INFO or TRACE"
        )
    elif level.upper() == "TRACE":
        yield warning(NETWORK, "NCCL_DEBUG=TRACE: every rank logs every call of NCCL", "NCCL_DEBUG=WARN")
    elif level.upper() == "INFO" and "NCCL_DEBUG_FILE" not in environ:
        yield ok(NETWORK, "NCCL_DEBUG=INFO: every rank logs how it sets up its connections")


def _unknown(name: str) -> Iterator[Finding]:
    if name in RENAMED:
        yield ok(NETWORK, f"{name} is called TORCH_{name} since torch 2.2")
    elif close := difflib.get_close_matches(name, NCCL_NAMES, n=1, cutoff=ALIKE):
        yield warning(NETWORK, f"{name} is not a variable of NCCL and changes nothing", f"did you mean {close[0]}?")
    else:
        yield ok(NETWORK, f"{name} is not a variable of NCCL; a plugin of it may read it")


def _adapters(value: str, nodes: int, *, on_gpu: bool) -> Iterator[Finding]:
    """`NCCL_IB_HCA`, adapters with or without `:PORT`, against those of this machine."""
    if not value or nodes == 1 or not on_gpu:
        return
    names = sorted(path.name for path in HCA_FOLDER.iterdir()) if HCA_FOLDER.is_dir() else []
    mark = value[: len(value) - len(value.lstrip("^="))]
    listed = ",".join(part.partition(":")[0] for part in value.lstrip("^=").split(","))
    if not matching_interfaces("nccl", mark + listed, names):
        yield warning(
            NETWORK,
            f"NCCL_IB_HCA={value}: this node has {', '.join(names) or 'no InfiniBand adapter'}; NCCL goes over TCP "
            "sockets",
            "unset NCCL_IB_HCA, or name an adapter that every node has",
        )


def _only_loopback(value: str) -> bool:
    parts = [part.strip() for part in value.removeprefix("=").split(",") if part.strip()]
    return bool(parts) and all(part == LOOPBACK for part in parts)
