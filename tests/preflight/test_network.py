"""Environment variables by which ranks hang, get slow or do not do what was meant."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from navforge.preflight import network
from navforge.preflight.finding import OK, REFUSED, WARNING
from navforge.preflight.nccl_names import NCCL_NAMES
from navforge.preflight.network import RENAMED, check_network, check_variables

NODE = ("lo", "eth0")


@pytest.mark.parametrize(
    ("variable", "value", "nodes", "level", "says"),
    [
        ("NCCL_SOCKET_IFNAME", "ib0", 1, REFUSED, "this node has eth0, lo"),
        ("NCCL_SOCKET_IFNAME", "^=lo", 2, OK, "NCCL_SOCKET_IFNAME=^=lo"),
        ("NCCL_SOCKET_IFNAME", "lo", 2, REFUSED, "other nodes cannot be reached through the loopback interface"),
        ("GLOO_SOCKET_IFNAME", "lo", 2, REFUSED, "loopback"),
        ("GLOO_SOCKET_IFNAME", "lo", 1, OK, "GLOO_SOCKET_IFNAME=lo"),
        ("NCCL_P2P_DISABLE", "1", 1, WARNING, "through host memory instead of NVLink or PCIe"),
        ("NCCL_P2P_DISABLE", "0", 1, OK, "chosen by gloo and NCCL"),
        ("NCCL_P2P_DISABLE", "true", 1, WARNING, "is not a number: NCCL takes it for 0"),
        ("NCCL_P2P_LEVEL", "LOC", 1, WARNING, "NCCL_P2P_LEVEL=LOC"),
        ("NCCL_P2P_LEVEL", "NVL", 1, OK, "chosen by gloo and NCCL"),
        ("NCCL_SHM_DISABLE", "1", 1, WARNING, "use the network instead of host memory"),
        ("NCCL_IB_DISABLE", "1", 2, WARNING, "over TCP sockets instead of InfiniBand"),
        ("NCCL_IB_DISABLE", "1", 1, OK, "chosen by gloo and NCCL"),
        ("NCCL_IB_HCA", "mlx5_9", 2, WARNING, "this node has mlx5_0, mlx5_1; NCCL goes over TCP"),
        ("NCCL_IB_HCA", "=mlx5_0:1", 2, OK, "chosen by gloo and NCCL"),
        ("NCCL_IB_HCA", "^mlx5", 2, WARNING, "goes over TCP"),
        ("NCCL_DEBUG", "TRACE", 1, WARNING, "logs every call"),
        ("NCCL_DEBUG", "DEBUG", 1, WARNING, "is not a level: NCCL logs nothing"),
        ("NCCL_DEBUG", "info", 1, OK, "logs how it sets up"),
        ("NCCL_DEBUG", "WARN", 1, OK, "chosen by gloo and NCCL"),
        ("NCCL_SOCKET_IFNAMES", "eth0", 1, WARNING, "changes nothing"),
        ("NCCL_P2P_DISABEL", "1", 1, WARNING, "changes nothing"),
        ("NCCL_MAX_NRINGS", "4", 1, OK, "chosen by gloo and NCCL"),
        ("NCCL_FASTRAK_NUM_FLOWS", "2", 1, OK, "a plugin of it may read it"),
        ("NCCL_BLOCKING_WAIT", "1", 1, OK, "is called TORCH_NCCL_BLOCKING_WAIT"),
        ("NCCL_ASYNC_ERROR_HANDLING", "0", 1, WARNING, "waits for it until the time limit"),
        ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 1, WARNING, "waits for it until the time limit"),
        ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1", 1, OK, "chosen by gloo and NCCL"),
    ],
)
def test_variables(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    nodes: int,
    level: str,
    says: str,
) -> None:
    for name in ("mlx5_0", "mlx5_1"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(network, "HCA_FOLDER", tmp_path)
    found = list(check_network({variable: value}, nodes, 2, on_gpu=True, interfaces=NODE))
    shown = [finding for finding in found if says in finding.message]
    assert [finding.level for finding in shown] == [level], found
    assert all(finding.level in (OK, level) for finding in found)
    assert (
        level == OK or variable in shown[0].remedy or shown[0].remedy.startswith(("NCCL_DEBUG=", "did you mean NCCL_"))
    )


def test_nccl_is_not_asked_where_ranks_train_on_the_cpu() -> None:
    environ = {"NCCL_P2P_DISABLE": "1", "NCCL_SOCKET_IFNAME": "lo", "NCCL_DEBUG": "TRACE"}
    assert not list(check_variables(environ, 2, on_gpu=False))
    (found,) = check_network(environ, 1, 2, on_gpu=False, interfaces=NODE)
    assert found.level == OK
    (alone,) = check_network({"GLOO_SOCKET_IFNAME": "no-such-interface"}, 1, 1, on_gpu=False, interfaces=NODE)
    assert alone.level == OK


def test_names_are_those_of_nccl_and_not_of_torch() -> None:
    assert {*network.SWITCHES, "NCCL_SOCKET_IFNAME", "NCCL_DEBUG", "NCCL_IB_HCA", "NCCL_P2P_LEVEL"} <= NCCL_NAMES
    assert not NCCL_NAMES & set(RENAMED)
    assert not difflib.get_close_matches("NCCL_FASTRAK_NUM_FLOWS", NCCL_NAMES, cutoff=network.ALIKE)
