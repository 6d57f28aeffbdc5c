"""Network interfaces that environment variables name for gloo and NCCL, against those this machine has."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from navforge.core.errors import ConfigError

VARIABLES = {"gloo": "GLOO_SOCKET_IFNAME", "nccl": "NCCL_SOCKET_IFNAME"}
"""Backend -> the variable that names its interfaces; a cluster's modules often set both."""


def check_interfaces(environ: Mapping[str, str], backend: str, interfaces: Iterable[str] | None = None) -> None:
    """Do nothing where every backend has an interface to use.

    What a value means is said at `matching_interfaces`.

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
        if kind in backend and value and not matching_interfaces(kind, value, names):
            raise ConfigError(
                f"{variable}={value}: this node has {', '.join(names) or 'no network interface'}; unset {variable}, or "
                "name an interface that every node has"
            )


def matching_interfaces(kind: str, value: str, names: Iterable[str]) -> list[str]:
    """The names among which a backend chooses; none where gloo lacks one of those it is given.

    Args:
        kind: `gloo` or `nccl`.
        value: of its variable: names for gloo; for NCCL prefixes, after `=` exact names, after `^` excluded ones.
        names: that this machine has.
    """
    parts = [part.strip() for part in value.lstrip("^=").split(",") if part.strip()]
    if kind == "gloo":
        return parts if set(parts) <= set(names) else []
    exact, excluded = "=" in value[:2], value.startswith("^")
    return [name for name in names if (name in parts if exact else name.startswith(tuple(parts))) is not excluded]
