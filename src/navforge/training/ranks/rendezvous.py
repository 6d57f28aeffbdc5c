"""Where ranks meet before anything else: all of them within a time limit, or an error that names who came.

`torch.distributed` alone waits for half an hour and then says how many are missing, not which.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import timedelta

import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from navforge.core.errors import NavforgeError
from navforge.training.ranks.interfaces import check_interfaces
from navforge.training.ranks.rank_info import RankInfo

COLLECTIVE_TIMEOUT = timedelta(minutes=20)
"""A collective that takes longer fails: some rank is gone or stuck."""
POLL_S = 0.05
FAREWELL_S = 10.0
"""How long rank 0 keeps the meeting place up after a failed rendezvous, so that the others can read why."""


class RendezvousError(NavforgeError):
    """Not all ranks came, or rank 0 could not be reached."""


def meet(rank_info: RankInfo, timeout_s: float) -> Store:
    """Wait until every rank of this start of the job is here; return the store they share.

    Raises:
        RendezvousError: on every rank that came, soon after the first of them has waited for `timeout_s`; it names the
            ranks that came, with their nodes, and those that did not.
    """
    deadline = time.monotonic() + timeout_s
    store = _connect(rank_info, deadline, timeout_s)
    place = PrefixStore(f"{rank_info.session}/meeting", store)
    try:
        verdict = _gather(rank_info, place, deadline, timeout_s)
        if verdict is not None:
            _say_goodbye(rank_info, place)
    except dist.DistError as error:
        raise RendezvousError(
            f"rank {rank_info.rank} on {rank_info.node} lost rank 0 at {_address(rank_info)} while waiting for the "
            f"other ranks: {_first_line(error)}"
        ) from error
    if verdict is not None:
        raise RendezvousError(verdict)
    store.set_timeout(COLLECTIVE_TIMEOUT)
    return PrefixStore(rank_info.session, store)


def join_group(rank_info: RankInfo, store: Store, backend: str) -> None:
    """Make the default process group of ranks that have met.

    Raises:
        ConfigError: an environment variable names a network interface that this node does not have.
    """
    check_interfaces(os.environ, backend)
    dist.init_process_group(
        backend, store=store, rank=rank_info.rank, world_size=rank_info.world_size, timeout=COLLECTIVE_TIMEOUT
    )


def _connect(rank_info: RankInfo, deadline: float, timeout_s: float) -> Store:
    master = rank_info.rank == 0
    while True:
        left = deadline - time.monotonic()
        try:
            if not master:
                socket.getaddrinfo(rank_info.master_addr, rank_info.master_port)
            return TCPStore(
                rank_info.master_addr,
                rank_info.master_port,
                world_size=None,
                is_master=master,
                wait_for_workers=False,
                timeout=timedelta(seconds=max(1.0, left)),
            )
        except (dist.DistError, OSError) as error:
            if time.monotonic() + POLL_S < deadline:
                time.sleep(min(1.0, max(POLL_S, deadline - time.monotonic())))
                continue
            raise RendezvousError(_unreachable(rank_info, timeout_s, error)) from error


def _unreachable(rank_info: RankInfo, timeout_s: float, error: Exception) -> str:
    if rank_info.rank == 0:
        return (
            f"rank 0 on {rank_info.node} could not open {_address(rank_info)} within {timeout_s:g} s: another process "
            f"holds the port, perhaps a second rank 0 or an earlier run ({_first_line(error)})"
        )
    return (
        f"rank {rank_info.rank} of {rank_info.world_size} on {rank_info.node} could not reach rank 0 at "
        f"{_address(rank_info)} within {timeout_s:g} s: rank 0 did not start, or its node cannot be reached from here "
        f"({_first_line(error)})"
    )


def _gather(rank_info: RankInfo, place: Store, deadline: float, timeout_s: float) -> str | None:
    """None once all have come, else why not: the same words on every rank."""
    world = rank_info.world_size
    place.set(f"rank/{rank_info.rank}", rank_info.node)
    if place.add(f"times/{rank_info.rank}", 1) > 1:
        return _settle(place, f"rank {rank_info.rank} came twice, again on {rank_info.node}")
    place.add("joined", 1)
    while True:
        if place.check(["verdict"]):
            return place.get("verdict").decode().strip() or None
        if place.add("joined", 0) >= world:
            return _settle(place, "")
        if time.monotonic() > deadline:
            came = [rank for rank in range(world) if place.check([f"rank/{rank}"])]
            missing = [rank for rank in range(world) if rank not in came]
            if missing:
                nodes = ", ".join(f"{rank} ({place.get(f'rank/{rank}').decode()})" for rank in came)
                return _settle(
                    place,
                    f"{len(came)} of {world} ranks met within {timeout_s:g} s; came: {nodes}; did not come: "
                    f"{', '.join(map(str, missing))}",
                )
        time.sleep(POLL_S)


def _settle(place: Store, verdict: str) -> str | None:
    """The first verdict holds."""
    return place.compare_set("verdict", "", verdict or " ").decode().strip() or None


def _say_goodbye(rank_info: RankInfo, place: Store) -> None:
    heard = place.add("heard", 1)
    end = time.monotonic() + FAREWELL_S
    while rank_info.rank == 0 and heard < place.add("joined", 0) and time.monotonic() < end:
        time.sleep(POLL_S)
        heard = place.add("heard", 0)


def _address(rank_info: RankInfo) -> str:
    return f"{rank_info.master_addr}:{rank_info.master_port}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
