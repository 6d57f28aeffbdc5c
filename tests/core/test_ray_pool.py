"""A Ray cluster of this machine, on loopback: every item is accounted for, a dead worker is said, nothing is left."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

import psutil
import pytest

from navforge.core import ray_pool
from navforge.core.errors import NavforgeError

with_ray = pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed (pip install "navforge[ray]")')


def busy(x: int) -> tuple[int, str | None]:
    if x == 3:
        raise ValueError("three is out")
    if x == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x, os.environ.get("NUMBA_NUM_THREADS")


@with_ray
def test_every_item_is_accounted_for_and_the_cluster_ends() -> None:
    outcomes = {outcome.item: outcome for outcome in ray_pool.run(busy, list(range(10)), workers=2)}
    assert sorted(outcomes) == list(range(10))
    assert [outcomes[x].result for x in range(10) if x not in (3, 5)] == [
        (x * x, "1") for x in range(10) if x not in (3, 5)
    ]
    assert outcomes[3].error == "ValueError: three is out" and "in busy" in (outcomes[3].traceback or "")
    assert (outcomes[5].error or "").startswith("the worker died (WorkerCrashedError)")
    assert not [child for child in psutil.Process().children(recursive=True) if "raylet" in child.name()]


@with_ray
def test_a_cluster_that_is_not_there_is_an_error() -> None:
    with pytest.raises(NavforgeError, match=r"Ray at auto: .*; see ray status"):
        list(ray_pool.run(busy, [1], address="auto"))


def test_without_ray_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(ray_pool.importlib, "import_module", absent)
    with pytest.raises(NavforgeError, match=r"pip install .navforge\[ray\]., or use executor=local"):
        list(ray_pool.run(busy, [1]))
