"""Training runs: what they write, exact resume, and every reason to refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from navforge.core.errors import ConfigError, DataError, NavforgeError
from navforge.models.checkpoints import read_checkpoint
from navforge.models.planner import load_planner
from navforge.training import run as module
from navforge.training.curves import read_curves
from navforge.training.run import RunConfig, train
from navforge.vocabulary.vocabulary import Vocabulary

Make = Callable[..., RunConfig]


class StopAfter(Callback):
    """Pulls the plug once an epoch is saved."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == self.epochs:
            raise RuntimeError("plug pulled")


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
    assert list((config.out / "logs").rglob("metrics.csv"))
    facts = read_checkpoint(best).facts
    vocabulary = Vocabulary.load(config.vocabulary)  # type: ignore[arg-type]
    assert facts["fingerprints"]["vocabulary"] == vocabulary.fingerprint
    assert (
        facts["fingerprints"]["cache"] == "cafe"
        and facts["fingerprints"]["split"] == module.load_split("train", config.data).hash
    )
    assert facts["fingerprints"]["teacher"] and facts["fingerprints"]["val_teacher"]
    assert facts["train"]["epochs"] == 4 and facts["provenance"]["libraries"]["torch"]


def test_a_checkpoint_alone_gives_the_planner(make_run: Make, tmp_path: Path) -> None:
    config = make_run()
    best = train(config)
    (tmp_path / "vocabulary.npy").unlink()
    planner = load_planner(best)
    inputs = {"status": torch.zeros(2, 8), "panorama": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)}
    plan = planner.plan(inputs)
    assert plan.trajectories.shape == (2, 40, 3) and not planner.training
    assert planner.config == config.planner


def test_resumed_equals_uninterrupted_to_the_bit(make_run: Make) -> None:
    train(make_run("whole"))
    with pytest.raises(RuntimeError, match="plug pulled"):
        train(make_run("halves"), callbacks=[StopAfter(2)])
    assert len(read_curves(make_run("halves").out / "epochs.csv")) == 2
    torch.manual_seed(12345)  # whatever else the new process drew
    train(make_run("halves"))
    whole, halves = (make_run(name).out for name in ("whole", "halves"))
    for name in ("last.ckpt", "best.ckpt"):
        first, second = state_of(whole / "checkpoints" / name), state_of(halves / "checkpoints" / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name
    curves = [read_curves(folder / "epochs.csv") for folder in (whole, halves)]
    for row in (*curves[0], *curves[1]):
        del row["seconds"]
    assert curves[0] == curves[1]


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
    monkeypatch.setattr(module.MetricCache, "fingerprint", "beef")
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
    from navforge.training.recipes import recipe  # noqa: PLC0415

    config = make_run(planner=recipe("ego_mlp").planner, vocabulary=None, teacher=None, val_teacher=None)
    best = train(config)
    assert load_planner(best).plan({"status": torch.zeros(1, 8)}).trajectories.shape == (1, 8, 3)


def test_smoke_evaluation_comes_first(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> dict[str, float]:
        raise NavforgeError("the evaluation of the untrained planner fails")

    monkeypatch.setattr(module, "smoke_evaluation", fails)
    config = make_run(train=replace(make_run().train, smoke_scenes=2))
    with pytest.raises(NavforgeError, match="untrained planner fails"):
        train(config)
    assert not (config.out / "epochs.csv").exists()
    monkeypatch.setattr(module, "smoke_evaluation", lambda *_, **__: {"a1": 0.25, "b1": 0.75})
    train(config)
    assert json.loads((config.out / "smoke.json").read_text())["scores"] == {"a1": 0.25, "b1": 0.75}
