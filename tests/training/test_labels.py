"""Runs on a label subset: what they draw, what they leave behind, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.data.label_subsets import Stratum, label_subset
from navforge.models.checkpoints import read_checkpoint
from navforge.training import run_inputs as material
from navforge.training.config import LabelConfig
from navforge.training.loop.drawn import Drawn
from navforge.training.ranks.failures import TrainingError
from navforge.training.ranks.messages import Ranks
from navforge.training.run import train
from navforge.training.run_config import RunConfig

from .conftest import SPLITS

pytestmark = pytest.mark.forks

Make = Callable[..., RunConfig]
STRATA = {token: Stratum("boston", "straight") for split in SPLITS.values() for token in split.tokens}


@pytest.fixture
def half(make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """A run on half of split `long`: two of its four logs."""
    monkeypatch.setattr(material, "read_strata", lambda split, data: STRATA)
    return make_run(split="long", teacher=tmp_path / "teacher_long", labels=LabelConfig(fraction=0.5))


def test_a_run_draws_its_subset_and_says_so(half: RunConfig) -> None:
    best = train(half)
    subset = label_subset(SPLITS["long"], STRATA, 0.5)
    manifest = json.loads((half.out / "labels.json").read_text())
    assert manifest == json.loads(json.dumps(subset.manifest()))
    assert manifest["scenes"] == 20 and manifest["logs"] == 2
    facts = read_checkpoint(best).facts
    assert facts["labels"]["hash"] == facts["fingerprints"]["split"] == manifest["hash"] == subset.split.hash
    assert facts["scenes"] == 20
    finished = json.loads((half.out / "finished.json").read_text())
    assert finished["labels"] == {"scenes": 20, "drawn": 20}
    assert finished["steps"] == 4 * (20 // 3)
    whole = train(replace(half, out=half.out.with_name("whole"), labels=LabelConfig()))
    assert read_checkpoint(whole).facts["labels"] is None
    assert not (half.out.with_name("whole") / "labels.json").exists()


def test_levels_of_equal_updates(half: RunConfig) -> None:
    """Half of the labels and all of them learn for as many updates, with as many validations."""
    equal = replace(half.train, updates=28)
    found = {}
    for name, fraction in (("half", 0.5), ("whole", 1.0)):
        config = replace(half, out=half.out.with_name(name), train=equal, labels=LabelConfig(fraction=fraction))
        facts = read_checkpoint(train(config)).facts
        finished = json.loads((config.out / "finished.json").read_text())
        epochs = len((config.out / "epochs.csv").read_text().splitlines()) - 1
        found[name] = (epochs, finished["steps"], finished["training"]["samples"], facts["length"])
    assert found["half"] == found["whole"]
    assert found["half"][:3] == (4, 28, 28 * 3)
    assert found["half"][3] == {"epochs": 4, "updates": 28, "samples": 28 * 3}


def test_every_seed_has_the_same_subset(half: RunConfig) -> None:
    other = replace(half, out=half.out.with_name("other"), train=replace(half.train, seed=5, epochs=1))
    one = read_checkpoint(train(replace(half, train=replace(half.train, epochs=1)))).facts["labels"]
    assert read_checkpoint(train(other)).facts["labels"] == one


def test_a_scene_outside_ends_the_run(half: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof does not lean on the loader: a loader that draws from the whole split is caught by its first batch."""
    whole = SPLITS["long"]
    found = material.open_run_inputs(half)
    monkeypatch.setattr(material, "open_run_inputs", lambda *_: replace(found, train_split=whole))
    outside = len(whole) - len(found.train_split)
    assert outside == 20
    with pytest.raises(TrainingError, match=r"was drawn, which is not in the label subset"):
        train(half)


def test_a_resumed_run_is_of_the_same_labels(half: RunConfig) -> None:
    train(replace(half, train=replace(half.train, epochs=1)))
    with pytest.raises(ConfigError, match=r"labels\.fraction \(0\.5 -> 0\.75\)"):
        train(replace(half, labels=LabelConfig(fraction=0.75), train=replace(half.train, epochs=1)))


def test_what_was_drawn_survives_a_checkpoint() -> None:
    first = Drawn(["a", "b", "c"])
    assert first.add(["a", "c"]) is None
    again = Drawn(["a", "b", "c"])
    again.mask |= first.of_all(Ranks())
    assert again.add(["a"]) is None
    assert again.facts(Ranks()) == {"scenes": 3, "drawn": 2}
    error = again.add(["b", "x"])
    assert error is not None and error.tokens == ("x",)


def test_validation_logs_are_never_in_a_subset(half: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = replace(SPLITS["val"], logs={"log_c": ("v1", "v2", "v3")})
    splits = {**SPLITS, "val": mixed}
    monkeypatch.setattr(material, "load_split", lambda name, data, allow_missing=False: splits[name])
    with pytest.raises(DataError, match="share 1 logs, log_c for one"):
        train(half)


def test_a_split_with_gaps_has_no_subset(half: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    gaps = {**SPLITS, "long": replace(SPLITS["long"], missing_logs={"log_g": "not found"})}
    monkeypatch.setattr(material, "load_split", lambda name, data, allow_missing=False: gaps[name])
    with pytest.raises(DataError, match="would differ from machine to machine"):
        train(replace(half, allow_missing=True))
