"""Checkpoints: strict weights, no code, the vocabulary inside must be the one trained with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from navforge.core.errors import DataError
from navforge.models import checkpoints
from navforge.models.checkpoints import read_checkpoint
from navforge.models.encoders.configs import EgoStatusConfig
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.loading import load_planner
from navforge.models.planner_config import PlannerConfig, planner_to_dict
from navforge.vocabulary.vocabulary import Vocabulary

CONFIG = PlannerConfig(
    name="hydra",
    encoder=EgoStatusConfig(),
    head=HydraMdpConfig(width=16, attention_heads=2, feed_forward=16, decoder_layers=1),
)
VOCABULARY = Vocabulary(np.random.default_rng(0).normal(size=(6, 40, 3)).astype(np.float32))


def saved(path: Path, **changes: Any) -> Path:
    planner = CONFIG.build(VOCABULARY)
    facts = {"fingerprints": {"vocabulary": VOCABULARY.fingerprint}}
    values = {
        "state_dict": {f"planner.{name}": value for name, value in planner.state_dict().items()},
        checkpoints.KEY: checkpoints.contents(planner_to_dict(CONFIG), facts),
        **changes,
    }
    torch.save(values, path)
    return path


def changed_state(path: Path, change: Any) -> Path:
    values = torch.load(saved(path), weights_only=True)
    change(values["state_dict"])
    torch.save(values, path)
    return path


def test_a_planner_survives(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt")
    planner, again = load_planner(path), load_planner(read_checkpoint(path))
    status = {"status": torch.randn(3, 8)}
    assert torch.equal(planner.plan(status).trajectories, again.plan(status).trajectories)
    assert planner.config == CONFIG


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'exploded'}",)

    path = saved(tmp_path / "bomb.ckpt", extra=Bomb())
    with pytest.raises(DataError, match=r"refused: .*\((posix|nt)\.system\)") as raised:
        load_planner(path)
    assert "weights_only" not in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "exploded").exists()


def test_damaged_missing_and_foreign_files(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"a\.ckpt"):
        load_planner(path)
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(DataError, match=r"a\.ckpt"):
        load_planner(path)
    with pytest.raises(DataError, match="not found"):
        load_planner(tmp_path / "none.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(DataError, match=r"not a navforge checkpoint .*navforge import-checkpoint source="):
        load_planner(tmp_path / "other.ckpt")


def test_weights_are_strict(tmp_path: Path) -> None:
    less = changed_state(tmp_path / "less.ckpt", lambda state: state.pop("planner.head.status.weight"))
    with pytest.raises(DataError, match=r"head\.status\.weight"):
        load_planner(less)
    more = changed_state(tmp_path / "more.ckpt", lambda state: state.update({"planner.head.extra": torch.zeros(1)}))
    with pytest.raises(DataError, match=r"head\.extra"):
        load_planner(more)
    other = changed_state(
        tmp_path / "other.ckpt", lambda state: state.update({"planner.head.status.bias": torch.zeros(3)})
    )
    with pytest.raises(DataError, match=r"head\.status\.bias"):
        load_planner(other)


def test_a_swapped_vocabulary_is_noticed(tmp_path: Path) -> None:
    path = changed_state(tmp_path / "swapped.ckpt", lambda state: state["planner.head.vocabulary"].add_(0.1))
    with pytest.raises(DataError, match="the planner was trained with"):
        load_planner(path)


def test_a_wrong_bit_is_found_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    checkpoints.write_values(path, torch.load(saved(path), weights_only=True))
    whole, expected = path.read_bytes(), read_checkpoint(path)
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.integers(len(whole), size=100):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path)
        except DataError as error:
            assert "a.ckpt" in str(error)
            refused += 1
            continue
        # Time stamps and the like in the headers of the archive, which nobody reads.
        assert found.facts == expected.facts and found.planner == expected.planner
        assert all(torch.equal(found.state[name], value) for name, value in expected.state.items())
    assert refused > 80
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut off or damaged"):
        read_checkpoint(path)


def test_a_full_disk_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.ckpt")
    before = path.read_bytes()

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            self.file.close()

        def write(self, block: bytes) -> int:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            self.file.flush()

    monkeypatch.setattr(checkpoints, "open", lambda *args: Full(open(*args)), raising=False)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left") as raised:
        checkpoints.write_values(path, {"state_dict": {"planner.x": torch.zeros(3)}})
    assert raised.value.errno == 28
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]
