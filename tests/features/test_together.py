"""Several planners over one reading of a feature store: each is the run alone, whatever becomes of the others."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from navforge.cli.main import main
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.features.shared import SharedFeatures
from navforge.features.store import FeatureStore
from navforge.jobs import control
from navforge.models.checkpoints import read_checkpoint
from navforge.models.heads.configs import QueriesHeadConfig
from navforge.runs.folder import RunFolder
from navforge.runs.signals import StopSignals
from navforge.runs.status import Failure, read
from navforge.training.loop.stepper import Stepper
from navforge.training.ranks.consensus import Stopped
from navforge.training.ranks.failures import TrainingError
from navforge.training.recipes.catalog import recipe
from navforge.training.run import train
from navforge.training.run_config import RunConfig, read_run_config
from navforge.training.together import train_together
from tests.training.processes import forget_servers, wait

from .conftest import BATCH, encoded, from_store
from .test_train import TRAIN, curves

QUERIES = QueriesHeadConfig(width=16, attention_heads=2, feed_forward=16, decoder_layers=1, dropout=0.1)


@pytest.fixture
def config(images_run: RunConfig, store: FeatureStore) -> RunConfig:
    return from_store(replace(images_run, train=replace(TRAIN, smoke_scenes=0)), store)


def with_queries(config: RunConfig, out: Path) -> RunConfig:
    """Another head."""
    return replace(config, out=out, agent="queries", planner=replace(config.planner, name="queries", head=QUERIES))


def in_another_order(config: RunConfig, out: Path) -> RunConfig:
    return replace(config, out=out, train=replace(config.train, order_seed=1))


def alone(config: RunConfig) -> RunConfig:
    """The same run, trained by itself elsewhere."""
    separate = replace(config, out=config.out.with_name(f"{config.out.name}-alone"))
    train(separate)
    return separate


def assert_equal(one: RunConfig, other: RunConfig) -> None:
    """Curves and weights to the last bit."""
    assert curves(one.out) == curves(other.out)
    ours, theirs = (read_checkpoint(run.out / "checkpoints" / "last.ckpt").state for run in (one, other))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_each_is_the_run_alone_and_a_batch_is_read_once(
    config: RunConfig, split: Split, val_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [config, with_queries(config, tmp_path / "queries"), in_another_order(config, tmp_path / "order")]
    read_from_disk: Counter[str] = Counter()
    gather = FeatureStore.gather

    def counted(store: FeatureStore, name: str, rows: NDArray[np.intp]) -> Tensor:
        read_from_disk[name] += 1
        return gather(store, name, rows)

    monkeypatch.setattr(FeatureStore, "gather", counted)
    assert train_together(runs) == {}
    steps, batches = len(split) // BATCH, -(-len(val_split) // BATCH)
    orders = 2
    assert read_from_disk["features"] == TRAIN.epochs * (orders * steps + batches)
    monkeypatch.undo()
    for run in runs:
        assert_equal(run, alone(run))
        folder = RunFolder(run.out)
        assert control.look(folder).state.name == "finished"
        assert f"epoch {TRAIN.epochs}/{TRAIN.epochs}" in folder.rank_log(0).read_text()
    first, third = curves(runs[0].out)[0], curves(runs[2].out)[0]
    assert first != third, "order_seed changes the order"


def in_a_fork(work: Callable[[], object]) -> int:
    """How a child that does this ends; fails where it does not end."""
    if (pid := os.fork()) == 0:
        try:
            forget_servers()
            work()
        finally:
            os._exit(99)
    return wait([pid])[0]


def test_killed_runs_go_on_to_the_same_curves(config: RunConfig, tmp_path: Path) -> None:
    often = replace(config, train=replace(config.train, checkpoint_minutes=0.0))
    runs = [often, with_queries(often, tmp_path / "queries")]
    rounds = Stepper.round
    left = 7  # between steps of the same number: they go on from different ones

    def round_or_end(stepper: Stepper, *arguments: Any, **keys: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return rounds(stepper, *arguments, **keys)

    def killed() -> None:
        Stepper.round = round_or_end  # type: ignore[method-assign]
        train_together(runs)

    assert in_a_fork(killed) == -signal.SIGKILL
    done = [len((run.out / "steps.csv").read_text().splitlines()) - 1 for run in runs]
    assert min(done) > 0 and not (runs[0].out / "finished.json").exists()
    assert train_together(runs) == {}
    for run in runs:
        assert_equal(run, alone(run))
        starts = [json.loads(line) for line in RunFolder(run.out).attempts.read_text().splitlines()]
        assert [start["attempt"] for start in starts] == [0, 1] and starts[1]["resumed_step"] > 0


def test_one_that_fails_does_not_end_the_others(config: RunConfig, tmp_path: Path) -> None:
    wild = replace(with_queries(config, tmp_path / "wild"), train=replace(config.train, learning_rate=1e30))
    ended = train_together([wild, config])
    assert list(ended) == [wild.out] and isinstance(ended[wild.out], TrainingError)
    failure = read(RunFolder(wild.out).failure_file(0), Failure)
    assert failure is not None and failure.cause == "non_finite" and failure.tokens
    assert not (wild.out / "finished.json").exists()
    assert_equal(config, alone(config))


def test_a_signal_stops_all_after_a_checkpoint(config: RunConfig, tmp_path: Path) -> None:
    runs = [config, with_queries(config, tmp_path / "queries")]
    signals = StopSignals()
    signals.numbers.append(signal.SIGINT)
    ended = train_together(runs, signals=signals)
    assert [type(ended[run.out]) for run in runs] == [Stopped, Stopped]
    assert train_together(runs) == {}
    assert_equal(config, alone(config))


def test_the_latest_rows_are_at_hand(store: FeatureStore) -> None:
    shared = SharedFeatures.open(store.path)
    first, second = np.array([0, 3]), np.array([1, 2])
    held = shared.gather("features", first)
    assert shared.gather("features", first.copy()) is held
    assert torch.equal(shared.gather("features", second), store.gather("features", second))
    assert torch.equal(shared.gather("features", first), held)


RECIPE = """
name: {name}
encoder:
  kind: trunk_parts:PatchConfig
  drawn: 3
head:
  kind: mlp
  hidden: {hidden}
  layers: 1
train:
  epochs: 1
  batch_size: 4
  smoke_scenes: 0
  accelerator: cpu
"""


@pytest.fixture
def words(data: DataConfig, town_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of `navforge train` with two heads and two seeds."""
    shutil.copy(Path(__file__).parent / "parts.py", tmp_path / "trunk_parts.py")
    for name, hidden in (("small", 8), ("large", 16)):
        (tmp_path / f"{name}.yaml").write_text(RECIPE.format(name=name, hidden=hidden))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return [
        "train", "agent=[small.yaml,large.yaml]", "seeds=[0,1]", "split=train", f"data.logs={data.logs}",
        f"data.maps={data.maps}", "features=features", f"cache={town_files['cache']}", "out=runs",
    ]  # fmt: skip


def test_the_verb_trains_heads_and_seeds_each_in_its_own_folder(
    words: list[str], data: DataConfig, split: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    encoded([split], data, tmp_path / "features", recipe("small.yaml").planner)
    assert main([*words, "preflight=false"]) == 0, capsys.readouterr()
    names = ["small-seed0", "large-seed0", "small-seed1", "large-seed1"]
    printed = capsys.readouterr()
    for name in names:
        assert f"runs/{name}/checkpoints/best.ckpt: best checkpoint" in printed.out
        assert f"{name}  epoch 1/1  train/loss" in printed.err
    run = read_run_config(tmp_path / "runs" / "large-seed1" / "train.config.yaml")
    assert isinstance(run, RunConfig) and (run.agent, run.train.seed, run.train.order_seed) == ("large", 1, None)
    assert_equal(run, alone(run))
    assert (
        pl.read_csv("runs/large-seed0/steps.csv")["loss"].to_list()
        != pl.read_csv("runs/large-seed1/steps.csv")["loss"].to_list()
    )
    assert main(words) == 0
    assert capsys.readouterr().out.count("is finished") == 4


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"features": None}, "features: several planners train together from a feature store"),
        ({"devices": "2"}, "launch: several planners train together in one process, on one device"),
        ({"agent": "[small.yaml,small.yaml]"}, "agent: two runs would be in runs/small-seed0"),
        ({"seeds": "[1,1]"}, "agent: two runs would be in runs/small-seed1"),
        ({"train.seed": "3"}, "seeds: they take the place of train.seed"),
        ({"agent": "[small.yaml,tiny]"}, "agent: no planner is called 'tiny'"),
    ],
)
def test_what_cannot_be_trained_together_is_refused(
    words: list[str], changes: dict[str, str | None], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = dict(word.split("=", 1) for word in words[1:]) | changes
    assert main(["train", *(f"{name}={value}" for name, value in given.items() if value is not None)]) == 2
    assert error in capsys.readouterr().err
