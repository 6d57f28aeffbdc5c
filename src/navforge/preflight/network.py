"""Network interfaces named by the environment, for runs of several ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from navforge.core.errors import ConfigError
from navforge.preflight.finding import Finding, ok, refused
from navforge.training.ranks.interfaces import VARIABLES, check_interfaces

NETWORK = "network"


def check_network(environ: Mapping[str, str], ranks: int, *, on_gpu: bool) -> Iterator[Finding]:
    """`GLOO_SOCKET_IFNAME` and `NCCL_SOCKET_IFNAME` against the interfaces of this machine."""
    if ranks == 1:
        yield ok(NETWORK, "one rank uses no network")
        return
    try:
        check_interfaces(environ, "gloo,nccl" if on_gpu else "gloo")
    except ConfigError as error:
        message, _, remedy = str(error).partition("; ")
        yield refused(NETWORK, message, remedy)
        return
    named = [f"{name}={environ[name]}" for name in VARIABLES.values() if environ.get(name)]
    yield ok(NETWORK, ", ".join(named) or "network interfaces are chosen by gloo and NCCL")
