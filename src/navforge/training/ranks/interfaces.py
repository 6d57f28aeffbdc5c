"""Network interfaces that environment variables name for gloo and NCCL, against those this machine has."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from navforge.core.errors import ConfigError

VARIABLES = {"gloo": "GLOO_SOCKET_IFNAME", "nccl": "NCCL_SOCKET_IFNAME"}
"""Backend -> the variable that names its interfaces; a cluster's modules often set both."""


def check_interfaces(environ: Mapping[str, str], backend: str, interfaces: Iterable[str] | None = None) -> None:
    """Do nothing where every backend has an interface to use.

    gloo takes interface names; NCCL takes prefixes of names, exact names after `=`, excluded ones after `^`.

    Args:
        environ: of a rank.
        backend: as `init_process_group` takes it, such as `cpu:gloo,cuda:nccl`.
        interfaces: names this machine has; default: ask the kernel.

    Raises:
        ConfigError: a variable names interfaces of which this machine has none; it names both.
    """
    names = sorted({name for _, name in socket.if_nameindex()} if interfaces is None else interfaces)
    for kind, variable in VARIABLES.items():
        value = environ.get(variable, "")
        if kind in backend and value and not _matches(kind, value, names):
            raise ConfigError(
                f"{variable}={value}: this node has {', '.join(names) or 'no network interface'}; unset {variable}, or "
                "name an interface that every node has"
            )


def _matches(kind: str, value: str, names: list[str]) -> bool:
    if kind == "gloo":
        return all(part.strip() in names for part in value.split(","))
    mark = value[0] if value[0] in "^=" else ""
    parts = [part for part in value.removeprefix("^").removeprefix("=").split(",") if part]
    if mark == "^":
        return any(not name.startswith(tuple(parts)) for name in names)
    return any(name in parts if mark == "=" else name.startswith(tuple(parts)) for name in names)
