"""Two ranks: nothing is lost when one is killed, both stop together, and whatever fails is named by both."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from navforge.models.encoders.configs import VisionConfig
from navforge.models.loading import load_planner
from navforge.runs import exits, status
from navforge.runs.folder import RunFolder
from navforge.runs.status import Failure, RankStatus
from navforge.training.loop import trainer
from navforge.training.loop.checkpointing import CheckpointManager
from navforge.training.loop.curves import read_curves
from navforge.training.loop.stepper import Stepper
from navforge.training.ranks import strategy
from navforge.training.run_config import RunConfig
from navforge.vocabulary.vocabulary import Vocabulary
from tests.models.test_vision import NATIVE, saved
from tests.training.conftest import broken_images
from tests.training.processes import Fault, run, same_result, start, wait

pytestmark = pytest.mark.forks

Make = Callable[..., RunConfig]

SMALL = {"epochs": 2, "batch_size": 4}
"""40 scenes on two ranks: 5 steps in each of 2 epochs."""


def make(make_run: Make, out: str, **train: Any) -> RunConfig:
    config = make_run(out, split="long", devices=2)
    return replace(
        config, teacher=config.out.parent / "teacher_long", train=replace(config.train, **{**SMALL, **train})
    )


def at_step(step: int, ranks: tuple[int, ...], action: Callable[[], None]) -> Fault:
    """Do something in the middle of an optimiser step of some ranks."""

    def fault(rank: int) -> None:
        whole = Stepper.finish

        def finish(self: Stepper, **where: Any) -> Any:
            if rank in ranks and where["epoch"] * 5 + where["step"] == step:
                action()
            return whole(self, **where)

        Stepper.finish = finish  # type: ignore[method-assign]

    return fault


def every_third(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint before every third step, whatever the clock says."""
    asked = iter(range(10**6))
    patch.setattr(CheckpointManager, "due", property(lambda self: next(asked) % 3 == 2))


def test_killed_and_resumed_equals_uninterrupted(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is due after every third look at the clock, and there is one after every epoch of 5 steps."""
    every_third(monkeypatch)
    whole, killed = make(make_run, "whole"), make(make_run, "killed")
    assert run(whole, world=2) == [exits.FINISHED] * 2
    folder = RunFolder(killed.out)
    for step in (1, 4, 7):
        kill = at_step(step, (1,), lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert run(killed, world=2, fault=kill) == [exits.FAILED, -signal.SIGKILL]
        assert status.read(folder.failure_file(0), Failure).cause == "peer"  # type: ignore[union-attr]
    assert run(killed, world=2) == [exits.FINISHED] * 2
    same_result(whole.out, killed.out)
    attempts = status.read_attempts(folder.attempts)
    assert [(attempt.attempt, attempt.resumed_step) for attempt in attempts] == [(0, 0), (1, 0), (2, 2), (3, 7)]
    assert not folder.failure_file(0).exists()


def test_a_signal_to_one_rank_stops_all_after_a_checkpoint(make_run: Make) -> None:
    changes = {"accumulate": 2, "batch_size": 2}
    whole, stopped = make(make_run, "whole", **changes), make(make_run, "stopped", **changes)
    assert run(whole, world=2) == [exits.FINISHED] * 2
    folder = RunFolder(stopped.out)
    for step, number, code in ((2, signal.SIGUSR1, exits.REQUEUE_ME), (6, signal.SIGTERM, exits.STOPPED)):
        told = at_step(step, (1,), lambda number=number: os.kill(os.getpid(), number))
        assert run(stopped, world=2, fault=told) == [code] * 2
        assert len(read_curves(folder.steps)) == step + 1 and not folder.failure_file(0).exists()
        phases = [status.read(folder.status_file(rank), RankStatus) for rank in (0, 1)]
        assert [found.phase for found in phases if found] == ["stopped"] * 2
    assert run(stopped, world=2) == [exits.FINISHED] * 2
    same_result(whole.out, stopped.out)
    assert [attempt.resumed_step for attempt in status.read_attempts(folder.attempts)] == [0, 3, 7]
    assert folder.finished.is_file()


def test_a_loss_that_is_not_finite_stops_both_and_names_the_scenes_of_the_guilty(make_run: Make) -> None:
    def fault(rank: int) -> None:
        whole = Stepper.round

        def spoilt(self: Stepper, batch: Any, *, number: int, step: int) -> Any:
            if rank == 1 and step == 3:
                batch["human_poses"] = batch["human_poses"] * torch.inf
            return whole(self, batch, number=number, step=step)

        Stepper.round = spoilt  # type: ignore[method-assign]

    config = make(make_run, "run", checkpoint_minutes=0.0)
    assert run(config, world=2, fault=fault) == [exits.FAILED] * 2
    folder = RunFolder(config.out)
    found = [status.read(folder.failure_file(rank), Failure) for rank in (0, 1)]
    assert all(one is not None and one.cause == "non_finite" and one.step == 3 for one in found)
    assert found[0].tokens == found[1].tokens and len(found[0].tokens) == 4  # type: ignore[union-attr]
    saved = json.loads((config.out / "non_finite.json").read_text())
    assert saved["tokens"] == {"1": list(found[0].tokens)} and saved["step"] == 3  # type: ignore[union-attr]
    assert "on rank 1 is not finite" in found[0].error  # type: ignore[union-attr]
    assert load_planner(folder.checkpoints / "last.ckpt")  # of the step before
    assert run(config, world=2) == [exits.FINISHED] * 2


def test_a_rank_that_does_not_come_is_named_by_the_one_that_did(make_run: Make) -> None:
    config = make(make_run, "run", rendezvous_timeout_s=2)
    assert wait(start(config, world=2, ranks=[0])) == [exits.FAILED]
    found = status.read(RunFolder(config.out).failure_file(0), Failure)
    assert found is not None and found.cause == "rendezvous"
    assert "1 of 2 ranks met within 2 s; came: 0 (" in found.error and "did not come: 1" in found.error
    assert wait(start(config, world=2, ranks=[1])) == [exits.FAILED]
    found = status.read(RunFolder(config.out).failure_file(1), Failure)
    assert found is not None and found.cause == "rendezvous" and "could not reach rank 0 at 127.0.0.1:" in found.error


def test_three_of_four_ranks_give_the_same_reason_soon(make_run: Make) -> None:
    config = replace(make(make_run, "run", rendezvous_timeout_s=5), devices=4)
    assert wait(start(config, world=4, ranks=[0, 1, 3])) == [exits.FAILED] * 3
    found = [status.read(RunFolder(config.out).failure_file(rank), Failure) for rank in (0, 1, 3)]
    assert len({one.error for one in found if one is not None}) == 1
    assert "3 of 4 ranks met" in found[0].error and "did not come: 2" in found[0].error  # type: ignore[union-attr]


def test_fsdp_shards_saves_whole_checkpoints_and_resumes(make_run: Make) -> None:
    changes = {"strategy": "fsdp", "clip_gradient": 1.0, "accumulate": 2, "batch_size": 2, "epochs": 1}
    whole, stopped = make(make_run, "whole", **changes), make(make_run, "stopped", **changes)
    assert run(whole, world=2) == [exits.FINISHED] * 2
    replicated = make(make_run, "replicated", **{**changes, "strategy": "ddp"})
    assert run(replicated, world=2) == [exits.FINISHED] * 2
    losses = [[float(row["loss"]) for row in read_curves(c.out / "steps.csv")] for c in (whole, replicated)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    told = at_step(3, (0,), lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert run(stopped, world=2, fault=told) == [exits.STOPPED] * 2
    assert load_planner(stopped.out / "checkpoints" / "last.ckpt")
    assert run(stopped, world=2) == [exits.FINISHED] * 2
    same_result(whole.out, stopped.out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "tuning", [{"tune": "last_blocks", "blocks": 1}, {"tune": "frozen"}, {"tune": "lora", "lora_rank": 2}], ids=str
)
def test_fsdp_shards_what_is_frozen_and_what_learns_of_a_transformer(
    make_run: Make, tmp_path: Path, tuning: dict[str, Any]
) -> None:
    saved("ijepa", tmp_path / "weights")
    encoder = VisionConfig(weights=str(tmp_path / "weights"), height=NATIVE, width=NATIVE, **tuning)
    planner = replace(make_run().planner, encoder=encoder)
    changes = {"batch_size": 4, "epochs": 1}
    sharded = replace(make(make_run, "sharded", strategy="fsdp", **changes), planner=planner)
    replicated = replace(make(make_run, "replicated", strategy="ddp", **changes), planner=planner)

    def noted(rank: int) -> None:
        """Write down what is sharded, and all weights that a checkpoint is made of."""
        shard, gather = strategy.fully_shard, trainer.whole_state

        def fully_shard(module: nn.Module, **keys: Any) -> Any:
            with open(tmp_path / f"units-{rank}", "a") as units:
                print(type(module).__name__, file=units)
            return shard(module, **keys)

        def whole_state(*arguments: Any) -> Any:
            weights, optimiser = gather(*arguments)
            torch.save(weights, tmp_path / f"weights-{rank}.pt")
            return weights, optimiser

        strategy.fully_shard, trainer.whole_state = fully_shard, whole_state  # type: ignore[assignment]

    assert run(sharded, world=2, fault=noted) == [exits.FINISHED] * 2
    assert run(replicated, world=2) == [exits.FINISHED] * 2
    layers = transformers.AutoConfig.from_pretrained(tmp_path / "weights").num_hidden_layers
    for rank in range(2):
        units = (tmp_path / f"units-{rank}").read_text().split()
        assert units.count("IJepaLayer") == layers > 1
    losses = [[float(row["loss"]) for row in read_curves(c.out / "steps.csv")] for c in (sharded, replicated)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and len(losses[0]) == 5

    gathered = torch.load(tmp_path / "weights-0.pt")
    fresh, held = (
        planner.resolved().build(Vocabulary.load(tmp_path / "vocabulary.npy")),
        load_planner(sharded.out / "checkpoints" / "last.ckpt").state_dict(),
    )
    outside = fresh.outside_names()
    assert {f"encoder.{name}" for name in fresh.encoder.frozen_names()} == outside != set()
    for name, value in fresh.state_dict().items():
        assert torch.equal(gathered[f"planner.{name}"], held[name]), name
        assert not (name in outside and not torch.equal(held[name], value)), name
    moved = [name for name, p in fresh.named_parameters() if p.requires_grad and not torch.equal(held[name], p)]
    assert any(name.startswith("encoder.trunk") for name in moved) == (tuning["tune"] != "frozen")


def test_a_frozen_weight_that_changes_on_one_rank_ends_both_under_fsdp(make_run: Make, tmp_path: Path) -> None:
    saved("ijepa", tmp_path / "weights")
    encoder = VisionConfig(weights=str(tmp_path / "weights"), height=NATIVE, width=NATIVE)
    config = make(make_run, "run", strategy="fsdp", batch_size=4, epochs=1)
    config = replace(config, planner=replace(config.planner, encoder=encoder))

    def fault(rank: int) -> None:
        finish = Stepper.finish

        def spoilt(self: Stepper, **where: Any) -> Any:
            frozen = next(p for p in self.wrapped.parameters() if not p.requires_grad and p.ndim == 2)
            with torch.no_grad():
                frozen.mul_(1 + 1e-6 * (rank == 1))
            return finish(self, **where)

        Stepper.finish = spoilt  # type: ignore[method-assign]

    assert run(config, world=2, fault=fault) == [exits.USER_ERROR] * 2
    found = [status.read(RunFolder(config.out).failure_file(rank), Failure) for rank in (0, 1)]
    assert all(one is not None and "is frozen and changed during training" in one.error for one in found)
    assert "rank 1 failed: " in found[0].error  # type: ignore[union-attr]


def test_an_error_of_one_rank_ends_the_other_with_the_same_cause(make_run: Make) -> None:
    config = make(make_run, "run", keep_inputs=False)
    assert run(config, world=2, fault=lambda rank: broken_images({"c03": "cut off"})) == [exits.FAILED] * 2
    found = [status.read(RunFolder(config.out).failure_file(rank), Failure) for rank in (0, 1)]
    assert all(one is not None and one.cause == "corrupt_sample" and one.tokens == ("c03",) for one in found)
    assert all("scene c03" in one.error and "tolerate_corrupt=1" in one.error for one in found if one)


def test_tolerated_corrupt_samples_are_counted_and_too_many_stop(make_run: Make) -> None:
    few = make(make_run, "few", tolerate_corrupt=2)
    assert (
        run(few, world=2, fault=lambda rank: broken_images({"c03": "cut off", "e05": "gone"})) == [exits.FINISHED] * 2
    )
    assert set(json.loads((few.out / "corrupt_samples.json").read_text())) == {"c03", "e05"}
    assert status.read(RunFolder(few.out).status_file(1), RankStatus).corrupt_samples == 2  # type: ignore[union-attr]
    assert "warning: corrupt sample" in RunFolder(few.out).rank_log(0).read_text()
    many = make(make_run, "many", tolerate_corrupt=1)
    assert run(many, world=2, fault=lambda rank: broken_images({"c03": "cut off", "e05": "gone"})) == [exits.FAILED] * 2


def test_more_ranks_than_the_run_is_for_are_refused_at_once(make_run: Make) -> None:
    config = replace(make(make_run, "run"), devices=4)
    assert run(config, world=2) == [exits.USER_ERROR] * 2
    found = status.read(RunFolder(config.out).failure_file(0), Failure)
    assert found is not None and "1 nodes x 4 ranks, but 1 x 2 were started" in found.error
