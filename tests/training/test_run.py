"""Training runs: what they write, exact resume, and every reason to refuse."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from navforge.core.errors import ConfigError, DataError, NavforgeError
from navforge.jobs import state as run_states
from navforge.jobs.diagnose import diagnose
from navforge.jobs.evidence import gather
from navforge.jobs.view import find_runs, read_run
from navforge.models.checkpoints import read_checkpoint, read_values
from navforge.models.loading import load_planner
from navforge.runs import exits, status
from navforge.runs.folder import RunFolder
from navforge.runs.status import Failure, RankStatus
from navforge.runs.training_record import read_training_record
from navforge.training import run_inputs as material
from navforge.training import smoke
from navforge.training.config import AugmentConfig
from navforge.training.loop.checkpointing import CheckpointManager
from navforge.training.loop.curves import read_curves
from navforge.training.loop.stepper import Stepper
from navforge.training.ranks.failures import TrainingError
from navforge.training.recipes.catalog import recipe
from navforge.training.run import train
from navforge.training.run_config import RunConfig, read_run_config
from navforge.vocabulary.vocabulary import Vocabulary

from .processes import run, same_result

pytestmark = pytest.mark.forks

Make = Callable[..., RunConfig]


def state_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(checkpoint).state


def test_a_run_leaves_what_is_needed_to_use_and_to_trust_it(make_run: Make) -> None:
    config = make_run()
    best = train(config)
    assert best.is_file() and (best.parent / "last.ckpt").is_file()
    rows = read_curves(config.out / "epochs.csv")
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert all(float(row[name]) >= 0 for row in rows for name in ("train/loss", "val/loss", "val/score", "val/oracle"))
    assert (config.out / "train.config.yaml").is_file() and (config.out / "train.provenance.json").is_file()
    assert list((config.out / "tensorboard").glob("events*"))
    steps = read_curves(config.out / "steps.csv")
    assert [int(row["step"]) for row in steps] == list(range(1, 9)) and all(float(row["loss"]) > 0 for row in steps)
    assert json.loads((config.out / "finished.json").read_text())["steps"] == 8
    done = read_training_record(RunFolder(config.out))
    assert done is not None and done.samples == 8 * 3 and done.gpu_hours == 0
    assert done.seconds == pytest.approx(sum(float(row["seconds"]) for row in rows))
    last = rows[-1]
    assert done.train_loss == float(last["train/loss"]) and done.val_score == float(last["val/score"])
    assert done.train_score == float(last["train/score"]) <= float(last["train/oracle"])
    assert json.loads((config.out / "environment.json").read_text())["packages"]["torch"]
    assert json.loads((config.out / "facts.json").read_text())["fingerprints"]["cache"] == "cafe"
    assert status.read(RunFolder(config.out).status_file(0), RankStatus).phase == "finished"  # type: ignore[union-attr]
    assert (config.out / "history.csv").read_text().startswith("time,")
    assert read_run_config(config.out / "train.config.yaml") == config
    facts = read_checkpoint(best).facts
    vocabulary = Vocabulary.load(config.vocabulary)  # type: ignore[arg-type]
    assert facts["fingerprints"]["vocabulary"] == vocabulary.fingerprint
    assert (
        facts["fingerprints"]["cache"] == "cafe"
        and facts["fingerprints"]["split"] == material.load_split("train", config.data).hash
    )
    assert facts["fingerprints"]["teacher"] and facts["fingerprints"]["val_teacher"]
    assert facts["train"]["epochs"] == 4 and facts["provenance"]["libraries"]["torch"]


def test_jobs_and_diagnose_read_a_run_of_this_process(make_run: Make, tmp_path: Path) -> None:
    config = make_run("whole")
    train(config)
    (found,) = find_runs(tmp_path)
    view = read_run(found)
    assert (found.path, view.record.agent, view.record.launch) == (config.out, config.agent, "local")
    assert run_states.state_of(view, None).name == "finished"
    with pytest.raises(DataError, match=f"is not a run folder.*; runs below it: {config.out}$"):
        read_run(RunFolder(config.out.parent))

    with pytest.raises(DataError):
        train(failing := make_run("failing", teacher=tmp_path / "nowhere"))
    assert run_states.state_of(read_run(RunFolder(failing.out)), None).note == "ranks end: failed", (
        "its process is alive"
    )
    assert diagnose(gather(RunFolder(failing.out))).cause == "user_error"


def test_a_checkpoint_alone_gives_the_planner(make_run: Make, tmp_path: Path) -> None:
    config = make_run()
    best = train(config)
    (tmp_path / "vocabulary.npy").unlink()
    planner = load_planner(best)
    inputs = {"status": torch.zeros(2, 8), "panorama": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)}
    plan = planner.plan(inputs)
    assert plan.trajectories.shape == (2, 40, 3) and not planner.training
    assert planner.config == config.planner


class PlugPulledError(Exception):
    pass


@contextmanager
def pulled_plug(step: int) -> Iterator[None]:
    """Training breaks off in the middle of an optimiser step."""
    whole, done = Stepper.finish, iter(range(10**6))

    def finish(self: Stepper, **where: Any) -> Any:
        if next(done) == step:
            raise PlugPulledError
        return whole(self, **where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "finish", finish)
        with pytest.raises(PlugPulledError):
            yield


@pytest.mark.parametrize(("step", "saved"), [(0, 0), (5, 4), (7, 7)], ids=str)
def test_resumed_equals_uninterrupted_to_the_bit(
    make_run: Make, step: int, saved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 0, 2, 4, 6 begin epochs; a checkpoint is due before steps 3 and 7, and there is one after every epoch."""
    asked = iter(range(10**6))
    train(make_run("whole"))
    monkeypatch.setattr(CheckpointManager, "due", property(lambda self: next(asked) in (3, 7)))
    with pulled_plug(step):
        train(make_run("halves"))
    torch.manual_seed(12345)  # whatever else the new process drew
    train(make_run("halves"))
    same_result(make_run("whole").out, make_run("halves").out)
    attempts = status.read_attempts(RunFolder(make_run("halves").out).attempts)
    assert [attempt.resumed_step for attempt in attempts] == [0, saved]
    assert [(attempt.nodes, attempt.device) for attempt in attempts] == [(1, "CPU")] * 2


def test_resumed_in_an_epoch_of_more_than_a_pass(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of three steps, passes of two: interrupted in the second pass of an epoch, after a checkpoint in it."""
    equal = replace(make_run().train, updates=12)
    asked = iter(range(10**6))
    train(make_run("whole", train=equal))
    monkeypatch.setattr(CheckpointManager, "due", property(lambda self: next(asked) == 4))
    with pulled_plug(5):
        train(make_run("halves", train=equal))
    train(make_run("halves", train=equal))
    same_result(make_run("whole").out, make_run("halves").out)
    assert [attempt.resumed_step for attempt in status.read_attempts(RunFolder(make_run("halves").out).attempts)] == [
        0,
        4,
    ]
    with pytest.raises(ConfigError, match=r"train\.updates \(12 -> None\)"):
        train(make_run("halves"))


def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(make_run: Make, capsys: Any) -> None:
    train(make_run("whole"))
    with pulled_plug(5):
        train(make_run("halves", train=replace(make_run().train, checkpoint_minutes=0.0)))
    folder = make_run("halves").out / "checkpoints"
    content = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(content[: len(content) // 2])
    train(make_run("halves"))
    assert "last.ckpt is refused: it is cut off or damaged" in capsys.readouterr().err
    assert (folder / "damaged.ckpt").is_file()
    same_result(make_run("whole").out, make_run("halves").out)
    for name in ("last.ckpt", "previous.ckpt"):
        (folder / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"no checkpoint of this run is whole .* delete"):
        train(make_run("halves"))


def test_a_full_disk_stops_with_the_checkpoint_before_intact(make_run: Make) -> None:
    config = make_run(train=replace(make_run().train, checkpoint_minutes=0.0))

    def fault(rank: int) -> None:
        whole, done = Stepper.finish, iter(range(10**6))

        def finish(self: Stepper, **where: Any) -> Any:
            if next(done) == 3:  # from here on no file may become larger than 100 kB
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            return whole(self, **where)

        Stepper.finish = finish  # type: ignore[method-assign]

    assert run(config, fault=fault) == [exits.FAILED]
    found = status.read(RunFolder(config.out).failure_file(0), Failure)
    assert found is not None and found.cause == "disk_full"
    assert read_values(config.out / "checkpoints" / "last.ckpt")["training"]["position"]["total"] == 3
    assert not list((config.out / "checkpoints").glob(".*"))
    assert run(config) == [exits.FINISHED]
    train(make_run("whole"))
    same_result(make_run("whole").out, config.out)


def test_kill_9_of_a_lone_rank_with_loader_workers(make_run: Make) -> None:
    config = make_run(train=replace(make_run().train, loader_workers=1, keep_inputs=False, checkpoint_minutes=0.0))

    def fault(rank: int) -> None:
        whole, done = Stepper.finish, iter(range(10**6))

        def finish(self: Stepper, **where: Any) -> Any:
            if next(done) == 5:
                helpers = psutil.Process().children(recursive=True)
                (config.out / "helpers").write_text(" ".join(str(process.pid) for process in helpers))
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(self, **where)

        Stepper.finish = finish  # type: ignore[method-assign]

    assert run(config, fault=fault) == [-signal.SIGKILL]
    helpers = [int(pid) for pid in (config.out / "helpers").read_text().split()]
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in helpers):
        assert len(helpers) == 3 and time.monotonic() < deadline, "nothing outlives the rank"
        time.sleep(0.1)
    assert run(config) == [exits.FINISHED]
    train(make_run("whole"))
    same_result(make_run("whole").out, config.out)


@pytest.mark.slow
def test_signals_that_reach_loader_workers_too_do_not_kill_them(make_run: Make) -> None:
    """Slurm sends its signals to every process of a step."""
    config = make_run(
        train=replace(
            make_run().train, loader_workers=1, keep_inputs=False, epochs=1, batch_size=1, augment=AugmentConfig()
        )
    )
    config = replace(config, planner=recipe("ego_mlp").planner, vocabulary=None, teacher=None, val_teacher=None)

    def fault(rank: int) -> None:
        whole, done = Stepper.finish, iter(range(10**6))

        def finish(self: Stepper, **where: Any) -> Any:
            if next(done) == 2:
                helpers = psutil.Process().children(recursive=True)  # two servers of Python's, and the worker
                assert len(helpers) == 3
                for process in (*helpers, psutil.Process()):
                    process.send_signal(signal.SIGUSR1)
            return whole(self, **where)

        Stepper.finish = finish  # type: ignore[method-assign]

    assert run(config, fault=fault) == [exits.REQUEUE_ME]
    assert read_values(config.out / "checkpoints" / "last.ckpt")["training"]["position"]["total"] == 3
    assert run(config) == [exits.FINISHED]


def test_a_loader_worker_that_is_killed_is_told(make_run: Make) -> None:
    changes = {"loader_workers": 1, "keep_inputs": False, "batch_size": 1, "augment": AugmentConfig()}
    config = make_run(train=replace(make_run().train, **changes))
    config = replace(config, planner=recipe("ego_mlp").planner, vocabulary=None, teacher=None, val_teacher=None)

    def fault(rank: int) -> None:
        whole, done = Stepper.finish, iter(range(10**6))

        def finish(self: Stepper, **where: Any) -> Any:
            if next(done) == 1:
                worker = next(p for p in psutil.Process().children(recursive=True) if p.ppid() != os.getpid())
                worker.kill()
            return whole(self, **where)

        Stepper.finish = finish  # type: ignore[method-assign]

    assert run(config, fault=fault) == [exits.FAILED]
    told = status.read(RunFolder(config.out).failure_file(0), Failure)
    assert told is not None and told.cause == "host_memory" and "killed by signal SIGKILL" in told.error


def test_how_a_run_is_carried_out_may_change_when_it_goes_on(make_run: Make) -> None:
    with pulled_plug(3):
        train(make_run())
    train(make_run(train=replace(make_run().train, keep_inputs=False, checkpoint_minutes=5.0, keep_best=2)))


def test_the_best_few_are_kept(make_run: Make) -> None:
    config = make_run(train=replace(make_run().train, keep_best=2))
    train(config)
    folder = config.out / "checkpoints"
    rows = read_curves(config.out / "epochs.csv")
    scores = [(-float(row["val/score"]), int(row["epoch"])) for row in rows]
    best = [epoch for _, epoch in sorted(scores)[:2]]
    assert sorted(p.name for p in folder.glob("epoch-*.ckpt")) == sorted(f"epoch-{epoch:04}.ckpt" for epoch in best)
    assert (folder / "best.ckpt").samefile(folder / f"epoch-{best[0]:04}.ckpt")
    assert read_values(folder / "best.ckpt")["training"]["position"]["epoch"] == best[0] + 1


def test_a_finished_run_is_left_as_it_is(make_run: Make) -> None:
    config = make_run()
    best = train(config)
    before = state_of(best)
    train(config)
    assert all(torch.equal(before[name], value) for name, value in state_of(best).items())
    assert len(read_curves(config.out / "epochs.csv")) == 4


def test_another_config_in_the_same_folder_is_refused(make_run: Make) -> None:
    config = make_run(train=replace(make_run().train, epochs=1))
    train(config)
    with pytest.raises(ConfigError, match=r"differs in train\.learning_rate \(0\.003 -> 0\.01\)"):
        train(replace(config, train=replace(config.train, learning_rate=0.01)))


def test_training_learns(make_run: Make) -> None:
    config = make_run(train=replace(make_run().train, epochs=12, learning_rate=5e-3))
    train(config)
    rows = read_curves(config.out / "epochs.csv")
    assert float(rows[-1]["train/loss"]) < 0.8 * float(rows[0]["train/loss"])


def test_seed_decides_the_weights(make_run: Make) -> None:
    short = replace(make_run().train, epochs=1)
    states = []
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        states.append(state_of(train(make_run(out, train=replace(short, seed=seed)))))
    name = "head.embed.0.weight"
    assert torch.equal(states[0][name], states[1][name]) and not torch.equal(states[0][name], states[2][name])


def test_a_loss_that_is_not_finite_names_the_scenes(make_run: Make) -> None:
    config = make_run(train=replace(make_run().train, learning_rate=1e30, schedule="constant"))
    with pytest.raises(NavforgeError, match=r"not finite .* scenes: [ab]\d, [ab]\d, [ab]\d"):
        train(config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocabulary": None}, "give vocabulary=FILE"),
        ({"teacher": None}, "run navforge teach on train"),
        ({"val_teacher": None}, "run navforge teach on val"),
        ({"val_split": "train"}, "share 7 scenes"),
    ],
)
def test_missing_material_is_named(make_run: Make, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(NavforgeError, match=words):
        train(make_run(**changes))
    assert not (make_run().out / "checkpoints").exists()


def test_teacher_of_another_split_cache_or_vocabulary(make_run: Make, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(DataError, match="lacks 7 of 7 scenes"):
        train(make_run(teacher=tmp_path / "teacher_val"))
    Vocabulary(np.ones((4, 40, 3), np.float32)).save(tmp_path / "other.npy")
    with pytest.raises(DataError, match="rows would not correspond"):
        train(make_run(vocabulary=tmp_path / "other.npy"))
    monkeypatch.setattr(material.MetricCache, "fingerprint", "beef")
    with pytest.raises(DataError, match="the cache given is beef"):
        train(make_run())


def test_protocol_of_the_teacher_must_be_the_planner_s(make_run: Make) -> None:
    config = make_run()
    planner = replace(config.planner, head=replace(config.planner.head, protocol="pdms_v1"))  # type: ignore[call-arg]
    with pytest.raises(DataError, match="holds epdms_v2, the planner learns pdms_v1"):
        train(replace(config, planner=planner))


def test_name_and_vocabulary_size_must_agree(make_run: Make) -> None:
    config = make_run()
    with pytest.raises(ConfigError, match="says 8192 vocabulary entries, the vocabulary given has 9"):
        train(replace(config, planner=replace(config.planner, name="hydra_v8192")))


def test_blind_planners_need_neither_vocabulary_nor_teacher(make_run: Make) -> None:
    config = make_run(planner=recipe("ego_mlp").planner, vocabulary=None, teacher=None, val_teacher=None)
    best = train(config)
    assert load_planner(best).plan({"status": torch.zeros(1, 8)}).trajectories.shape == (1, 8, 3)


@pytest.fixture
def smoked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Checkpoints that the smoke evaluation has loaded; scores are made up."""
    loaded: list[str] = []
    whole = smoke.load_planner

    def load(path: Path, device: Any) -> Any:
        loaded.append(path.name)
        return whole(path, device)

    monkeypatch.setattr(smoke, "load_planner", load)
    monkeypatch.setattr(smoke, "smoke_evaluation", lambda *_, **__: {"a1": 0.25, "b1": 0.75})
    return loaded


def test_smoke_evaluations_before_the_first_step_and_after_the_first_epoch(make_run: Make, smoked: list[str]) -> None:
    config = make_run(train=replace(make_run().train, smoke_scenes=2))
    train(config)
    assert smoked == [".untrained.ckpt", "last.ckpt"]
    found = json.loads((config.out / "smoke.json").read_text())
    assert found["untrained"] == found["trained"] == {"protocol": "epdms_v2", "scores": {"a1": 0.25, "b1": 0.75}}


def test_an_untrained_planner_that_cannot_be_evaluated_is_not_trained(
    make_run: Make, smoked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "smoke_evaluation", failing)
    config = make_run(train=replace(make_run().train, smoke_scenes=2))
    with pytest.raises(TrainingError, match="evaluation fails"):
        train(config)
    assert not (config.out / "epochs.csv").exists() and not list((config.out / "checkpoints").iterdir())


def test_a_planner_that_cannot_be_evaluated_after_the_first_epoch_stops_and_can_go_on(
    make_run: Make, smoked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_run(train=replace(make_run().train, smoke_scenes=2))
    with monkeypatch.context() as patch:
        scored = iter([{"a1": 0.5}])
        patch.setattr(smoke, "smoke_evaluation", lambda *_, **__: next(scored, None) or failing())
        with pytest.raises(TrainingError, match="evaluation fails"):
            train(config)
    assert [row["epoch"] for row in read_curves(config.out / "epochs.csv")] == ["0"]
    train(config)
    assert smoked == [".untrained.ckpt", "last.ckpt", "last.ckpt"]
    assert len(read_curves(config.out / "epochs.csv")) == 4


def failing(*_: Any, **__: Any) -> dict[str, float]:
    raise TrainingError("the evaluation fails", cause="evaluation", tokens=("a1",))
