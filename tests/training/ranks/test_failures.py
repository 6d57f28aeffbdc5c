"""What ended a rank, by the errors that really occur."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
import torch

from navforge.core.errors import ConfigError, DataError
from navforge.inputs.corrupt import CorruptSample
from navforge.runs.status import CAUSES
from navforge.training.ranks.failures import NAMES, SIGNS, TrainingError, cause_of, failure
from navforge.training.ranks.rendezvous import RendezvousError


def chained(outer: Exception, inner: Exception, *, explicit: bool = True) -> Callable[[], None]:
    def action() -> None:
        try:
            raise inner
        except Exception as error:
            if explicit:
                raise outer from error
            raise outer

    return action


def raised(error: Exception) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


CASES = {
    "corrupt_sample": [
        raised(CorruptSample("a1", "x.jpg", "cut off")),
        chained(DataError("no batch"), CorruptSample("a1", "x.jpg", "cut off")),
    ],
    "rendezvous": [raised(RendezvousError("1 of 2 ranks met"))],
    "gpu_memory": [
        raised(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")),
        raised(RuntimeError("CUDA error: out of memory")),
    ],
    "host_memory": [
        raised(MemoryError()),
        raised(OSError(errno.ENOMEM, "Cannot allocate memory")),
        raised(RuntimeError("DataLoader worker (pid 123) is killed by signal: Killed. ")),
        raised(RuntimeError("[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory: you")),
    ],
    "disk_full": [
        raised(OSError(errno.ENOSPC, "No space left on device")),
        raised(OSError(errno.EDQUOT, "Disk quota exceeded")),
        chained(RuntimeError("unexpected pos 704 vs 598"), OSError(errno.ENOSPC, "No space left"), explicit=False),
    ],
    "user_error": [
        raised(ConfigError("vocabulary: give one")),
        chained(DataError("split is not there"), KeyError("x")),
    ],
    "peer": [
        raised(RuntimeError("[.../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:24220")),
        raised(ConnectionResetError("Connection reset by peer")),
    ],
    "non_finite": [raised(TrainingError("the loss is not finite", cause="non_finite"))],
    "error": [raised(KeyError("head")), raised(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))],
}


@pytest.mark.parametrize(
    ("cause", "action"), [(cause, action) for cause, actions in CASES.items() for action in actions]
)
def test_cause(cause: str, action: Callable[[], None]) -> None:
    with pytest.raises(Exception) as caught:
        action()
    assert cause_of(caught.value) == cause


def test_a_real_failure_of_the_allocator_is_host_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert cause_of(caught.value) == "host_memory"


def test_every_cause_is_one_that_readers_know() -> None:
    assert {*CASES, *NAMES.values(), *(cause for cause, _ in SIGNS)} <= set(CAUSES)


def test_the_record_holds_trace_and_scene() -> None:
    try:
        chained(DataError("no batch"), CorruptSample("a1", "x.jpg", "cut off"))()
    except DataError as error:
        found = failure(error, rank=3, attempt=1, step=7)
    assert (found.rank, found.attempt, found.step, found.cause) == (3, 1, 7, "corrupt_sample")
    assert found.error == "DataError: no batch" and "x.jpg" in found.traceback and "CorruptSample" in found.traceback
    direct = failure(CorruptSample("a1", "x.jpg", "cut off"), rank=0, attempt=0)
    assert direct.tokens == ("a1",)
