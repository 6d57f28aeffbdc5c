"""Nothing is tuned on a test set or on what was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.data.filters import SceneFilter
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.models.checkpoints import Checkpoint
from navforge.tuning import validation_split
from navforge.tuning.validation_split import check_apart, check_not_test, training_split

DATA = DataConfig()


def split(name: str = "val", folder: str = "trainval", **logs: tuple[str, ...]) -> Split:
    logs = logs or {"log_v": ("v1", "v2")}
    return Split(name, SceneFilter(), logs, dict.fromkeys(logs, folder))


def checkpoint(**facts: Any) -> Checkpoint:
    return Checkpoint(Path("a.ckpt"), {}, {}, facts)


@pytest.mark.parametrize(
    "name", ["navtest", "test", "town_test", "navhard_two_stage", "private_test_hard", "warmup_two_stage", "NavTest"]
)
def test_names_of_test_sets_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="test set"):
        check_not_test(split(name))


@pytest.mark.parametrize("name", ["val", "navtrain_val", "latest", "contest", "mini", "navmini"])
def test_other_names_are_not(name: str) -> None:
    check_not_test(split(name))


def test_a_renamed_list_of_test_scenes_is_told_by_its_folder() -> None:
    with pytest.raises(ConfigError, match="'test'"):
        check_not_test(split("my_validation", folder="test"))


def test_shared_scenes_and_logs_are_refused() -> None:
    trained = split("train", log_a=("a1", "a2"), log_b=("b1",))
    check_apart(split(), trained)
    with pytest.raises(ConfigError, match="shares 1 scenes with the training split train, b1"):
        check_apart(split(log_c=("c1", "b1")), trained)
    with pytest.raises(ConfigError, match="shares 1 logs with the training split train, log_a"):
        check_apart(split(log_a=("a3",)), trained)


def test_the_training_split_is_found_by_name_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = split("train", log_a=("a1",))

    def load(name: str, data: DataConfig, *, allow_missing: bool) -> Split:
        if name != "train":
            raise DataError(f"no folder {name}")
        return trained

    monkeypatch.setattr(validation_split, "load_split", load)
    whole = checkpoint(split="train", fingerprints={"split": trained.hash})
    assert training_split(whole, None, DATA) is trained
    with pytest.raises(ConfigError, match=r"train_split: .*no folder navtrain.*train_split=FILE"):
        training_split(checkpoint(split="navtrain", fingerprints={"split": trained.hash}), None, DATA)
    assert training_split(checkpoint(split="navtrain", fingerprints={"split": trained.hash}), "train", DATA) is trained
    with pytest.raises(ConfigError, match="trained on 00aa"):
        training_split(checkpoint(split="train", fingerprints={"split": "00aa"}), None, DATA)


def test_a_checkpoint_that_does_not_say_needs_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_split, "load_split", lambda name, data, allow_missing: split(name))
    imported = checkpoint(fingerprints={"vocabulary": "cafe"})
    with pytest.raises(ConfigError, match="does not say what it was trained on"):
        training_split(imported, None, DATA)
    assert training_split(imported, "train", DATA).name == "train"
