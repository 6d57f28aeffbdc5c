"""Checkpoints on disk: two newest, best few, and which one a run goes on from."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from navforge.core.errors import DataError
from navforge.models import checkpoints
from navforge.models.checkpoints import read_values
from navforge.training.loop import checkpointing as module
from navforge.training.loop.checkpointing import CheckpointManager, ranked


def values(number: int) -> dict[str, Any]:
    return {"state_dict": {"planner.x": torch.full((100,), number)}, checkpoints.KEY: checkpoints.contents({}, {})}


def number_in(path: Path) -> int:
    return int(read_values(path)["state_dict"]["planner.x"][0])


def manager(folder: Path, keep: int = 1, minutes: float = 10) -> CheckpointManager:
    return CheckpointManager(folder, minutes=minutes, keep=keep)


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    saved = manager(tmp_path)
    assert saved.find() is None
    for number in range(3):
        saved.save(values(number))
    assert number_in(tmp_path / "last.ckpt") == 2 and number_in(tmp_path / "previous.ckpt") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert saved.find() == tmp_path / "last.ckpt"


def test_a_damaged_one_never_takes_the_place_of_the_good_one(tmp_path: Path, capsys: Any) -> None:
    saved = manager(tmp_path)
    for number in range(3):
        saved.save(values(number))
    content = bytearray((tmp_path / "last.ckpt").read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "last.ckpt").write_bytes(content)
    assert number_in(saved.find()) == 1  # type: ignore[arg-type]
    assert "going on with the checkpoint before it" in capsys.readouterr().err
    saved.save(values(7))
    assert (number_in(tmp_path / "last.ckpt"), number_in(tmp_path / "previous.ckpt")) == (7, 1)


def test_no_whole_one_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"no checkpoint of this run is whole .*delete"):
        manager(tmp_path).find()


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_best_epochs(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(95, "not supported")))
    saved, ranking = manager(tmp_path, keep=2), []
    for epoch, value in enumerate([3.0, 1.0, math.nan, 2.0, 1.0]):
        saved.save(values(epoch))
        ranking = ranked(ranking, value, epoch, mode="min", keep=2)
        saved.keep_best(ranking, epoch)
    assert ranking == [(1.0, 1), (1.0, 4)]
    assert number_in(tmp_path / "best.ckpt") == 1
    assert sorted(path.name for path in tmp_path.glob("epoch-*")) == ["epoch-0001.ckpt", "epoch-0004.ckpt"]


def test_ranking_prefers_the_earlier_of_equals_and_any_number_to_nan() -> None:
    ranking = ranked([], math.nan, 0, mode="max", keep=3)
    ranking = ranked(ranking, 0.5, 1, mode="max", keep=3)
    ranking = ranked(ranking, 0.5, 2, mode="max", keep=3)
    assert [epoch for _, epoch in ranked(ranking, 0.9, 3, mode="max", keep=3)] == [3, 1, 2]
    assert [epoch for _, epoch in ranked(ranking, 0.1, 1, mode="max", keep=3)] == [2, 1, 0]


def test_due_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    saved = manager(tmp_path, minutes=2)
    now[0] += 119
    assert not saved.due
    now[0] += 1
    assert saved.due
    saved.save(values(0))
    assert not saved.due
