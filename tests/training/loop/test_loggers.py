"""Loggers: TensorBoard always, others by name; none of them can end a run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from navforge.core.errors import ConfigError
from navforge.training.loop.loggers import Loggers, make_loggers, require_loggers


def test_tensorboard_holds_the_curve_of_a_resumed_run_once(tmp_path: Path) -> None:
    for resumed, steps in ((0, range(1, 8)), (4, range(5, 11))):
        loggers = make_loggers((), tmp_path, run="run", resumed_step=resumed)
        loggers.describe({"train": {"epochs": 3, "teacher": None}})
        for step in steps:
            loggers.log({"step/loss": step / 2}, step)
        loggers.close(success=True)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("step/loss")] == [(n, n / 2) for n in range(1, 11)]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_an_absent_package_is_named_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(
        ConfigError, match=rf"train\.loggers: {name} is not installed; run pip install 'navforge\[{name}\]'"
    ):
        require_loggers((name,))


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_optional_loggers_write_into_the_run_folder_and_keep_their_id(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(name, reason=f"{name} is an optional package")
    for variable in ("WANDB_API_KEY", "WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    found = []
    for _ in range(2):
        loggers = make_loggers((name,), tmp_path, run="run", resumed_step=0)
        loggers.log({"train/loss": 1.0}, 1)
        loggers.close(success=True)
        found.append((tmp_path / "loggers.json").read_text())
    assert found[0] == found[1] and (tmp_path / name).is_dir()


def test_a_logger_whose_server_is_away_does_not_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    class Away:
        calls = 0

        def log_values(self, values: Any, step: int) -> None:
            Away.calls += 1
            raise ConnectionError("no route to host")

    loggers = Loggers([Away()])  # type: ignore[list-item]
    for step in range(3):
        loggers.log({"loss": 1.0}, step)
    assert Away.calls == 1 and "Away failed, going on without it: no route to host" in capsys.readouterr().err
