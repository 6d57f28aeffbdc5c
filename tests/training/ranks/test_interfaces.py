"""Interfaces named by the environment against those of a node."""

from __future__ import annotations

import pytest

from navforge.core.errors import ConfigError
from navforge.preflight.finding import OK, REFUSED
from navforge.preflight.network import check_network
from navforge.training.ranks.failures import cause_of
from navforge.training.ranks.interfaces import check_interfaces

NODE = ("lo", "eth0")


@pytest.mark.parametrize(
    ("variable", "value", "backend", "sound"),
    [
        ("GLOO_SOCKET_IFNAME", "ib0", "gloo", False),
        ("GLOO_SOCKET_IFNAME", "eth0", "gloo", True),
        ("GLOO_SOCKET_IFNAME", "eth", "gloo", False),
        ("GLOO_SOCKET_IFNAME", "eth0,ib0", "gloo", False),
        ("GLOO_SOCKET_IFNAME", "", "gloo", True),
        ("NCCL_SOCKET_IFNAME", "ib0", "gloo", True),
        ("NCCL_SOCKET_IFNAME", "ib", "cpu:gloo,cuda:nccl", False),
        ("NCCL_SOCKET_IFNAME", "eth", "cpu:gloo,cuda:nccl", True),
        ("NCCL_SOCKET_IFNAME", "=eth", "cpu:gloo,cuda:nccl", False),
        ("NCCL_SOCKET_IFNAME", "=eth0", "cpu:gloo,cuda:nccl", True),
        ("NCCL_SOCKET_IFNAME", "^docker,lo", "cpu:gloo,cuda:nccl", True),
        ("NCCL_SOCKET_IFNAME", "^eth,lo", "cpu:gloo,cuda:nccl", False),
    ],
)
def test_interfaces(variable: str, value: str, backend: str, sound: bool) -> None:
    if sound:
        check_interfaces({variable: value}, backend, NODE)
        return
    with pytest.raises(ConfigError, match="this node has eth0, lo; unset") as caught:
        check_interfaces({variable: value}, backend, NODE)
    assert str(caught.value).startswith(f"{variable}={value}: ") and cause_of(caught.value) == "user_error"


def test_the_preflight_refuses_it_where_several_ranks_train() -> None:
    environ = {"GLOO_SOCKET_IFNAME": "no-such-interface"}
    (alone,) = check_network(environ, 1, 1, on_gpu=False)
    (several,) = check_network(environ, 1, 2, on_gpu=False)
    assert (alone.level, several.level) == (OK, REFUSED)
    assert "GLOO_SOCKET_IFNAME=no-such-interface: this node has" in several.message
    assert several.remedy.startswith("unset GLOO_SOCKET_IFNAME")
