"""Where curves go besides the CSV files of the run folder: TensorBoard always, W&B and MLflow by configuration."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard.writer import SummaryWriter

from navforge.core.errors import ConfigError
from navforge.core.files import write_json
from navforge.core.screen import say

PACKAGES = {"wandb": "wandb", "mlflow": "mlflow"}
"""Python package of each optional logger."""
PROJECT = "navforge"
IDS = "loggers.json"
"""In the run folder: the ids under which servers know the run."""
STEP = "trainer/global_step"
"""W&B's axis of optimiser steps: its own counts calls, and may not go back when a run resumes."""
MLFLOW_PARAMETERS, MLFLOW_CHARACTERS = 100, 500
"""Parameters that MLflow takes at a time, and how long one may be."""


class Logger(ABC):
    """Takes the config and the curves of one run."""

    @abstractmethod
    def log_config(self, config: dict[str, Any]) -> None:
        """The run's config, flat."""

    @abstractmethod
    def log_values(self, values: dict[str, float], step: int) -> None:
        """Values at an optimiser step."""

    @abstractmethod
    def close(self, *, success: bool) -> None:
        """No more values; waits for what is still on its way to a server."""


class Loggers:
    """Sends values to every logger; on ranks but the first there are none."""

    def __init__(self, loggers: Sequence[Logger] = ()) -> None:
        self._loggers = list(loggers)

    def describe(self, config: dict[str, Any]) -> None:
        """The run's config, once."""
        self._each(lambda logger: logger.log_config(_flat(config)))

    def log(self, values: dict[str, float], step: int) -> None:
        """Values at an optimiser step."""
        self._each(lambda logger: logger.log_values(dict(values), step))

    def close(self, *, success: bool) -> None:
        """No more values."""
        self._each(lambda logger: logger.close(success=success))

    def _each(self, action: Callable[[Logger], None]) -> None:
        """A logger that fails is left out from then on: training does not end because a server of curves is away."""
        for logger in list(self._loggers):
            try:
                action(logger)
            except Exception as error:  # third-party code at the boundary: reported, training continues without it
                _warn(type(logger).__name__, error)
                self._loggers.remove(logger)


def require_loggers(names: Sequence[str]) -> None:
    """Raise ConfigError for a logger whose package is absent."""
    for name in names:
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise ConfigError(
                f"train.loggers: {name} is not installed; run pip install 'navforge[{name}]', or leave it out"
            )


def make_loggers(names: Sequence[str], folder: Path, *, run: str, resumed_step: int) -> Loggers:
    """TensorBoard in the run folder and those of `train.loggers`.

    W&B and MLflow keep what they write in the run folder too, unless their own environment variables
    (WANDB_API_KEY or WANDB_MODE, MLFLOW_TRACKING_URI) lead to a server; a resumed run keeps its id.

    Raises:
        ConfigError: the package of one of them is absent.
    """
    require_loggers(names)
    loggers: list[Logger] = [TensorBoardLogger(folder / "tensorboard", resumed_step)]
    known = folder / IDS
    ids: dict[str, str] = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    made_by: dict[str, Callable[[], WandbLogger | MlflowLogger]] = {
        "wandb": lambda: WandbLogger(folder, run, ids.get("wandb") or secrets.token_hex(4)),
        "mlflow": lambda: MlflowLogger(folder, run, ids.get("mlflow")),
    }
    for name in names:
        try:
            logger = made_by[name]()
        except Exception as error:  # as in `Loggers`
            _warn(name, error)
            continue
        ids[name] = logger.run_id
        loggers.append(logger)
    if ids:
        write_json(known, ids)
    return Loggers(loggers)


class TensorBoardLogger(Logger):
    """Event files in a folder; those of a resumed run hide steps that were lost."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=resumed_step + 1)

    def log_config(self, config: dict[str, Any]) -> None:
        """As text."""
        rows = "".join(f"| {name} | {value} |\n" for name, value in config.items())
        self._writer.add_text("config", f"| key | value |\n|---|---|\n{rows}")

    def log_values(self, values: dict[str, float], step: int) -> None:
        """As scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, *, success: bool) -> None:
        """Flush."""
        self._writer.close()


class WandbLogger(Logger):
    """A run of W&B; offline in the run folder where no environment variable leads to a server."""

    def __init__(self, folder: Path, run: str, run_id: str) -> None:
        import wandb  # type: ignore[import-not-found] # noqa: PLC0415 (an optional package)

        self.run_id = run_id
        online = "online" if "WANDB_API_KEY" in os.environ else "offline"
        self._run = wandb.init(
            project=PROJECT,
            name=run,
            id=run_id,
            dir=folder,
            resume="allow",
            reinit="create_new",  # another run of this process may be going on (training.together)
            mode=os.environ.get("WANDB_MODE", online),  # type: ignore[arg-type]
        )
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP)

    def log_config(self, config: dict[str, Any]) -> None:
        """As the run's config."""
        self._run.config.update(config, allow_val_change=True)

    def log_values(self, values: dict[str, float], step: int) -> None:
        """Over `STEP`."""
        self._run.log({**values, STEP: step})

    def close(self, *, success: bool) -> None:
        """Upload the rest."""
        self._run.finish(exit_code=0 if success else 1)


class MlflowLogger(Logger):
    """A run of MLflow; in a database of the run folder where MLFLOW_TRACKING_URI names no server."""

    def __init__(self, folder: Path, run: str, run_id: str | None) -> None:
        from mlflow import MlflowClient, entities  # type: ignore[import-not-found] # noqa: PLC0415 (an optional package)

        self._entities = entities
        own = folder.resolve() / "mlflow"
        server = os.environ.get("MLFLOW_TRACKING_URI")
        own.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=server or f"sqlite:///{own / 'mlflow.db'}")
        if run_id is None:
            experiment = self._client.get_experiment_by_name(PROJECT)
            number = experiment.experiment_id if experiment else self._create(None if server else own.as_uri())
            run_id = str(self._client.create_run(number, run_name=run).info.run_id)
        else:
            self._client.update_run(run_id, status="RUNNING")
        self.run_id: str = run_id

    def _create(self, artifacts: str | None) -> str:
        return self._client.create_experiment(PROJECT, artifact_location=artifacts)

    def log_config(self, config: dict[str, Any]) -> None:
        """As parameters; those of a resumed run stay as they are."""
        known = self._client.get_run(self.run_id).data.params
        fresh = [
            self._entities.Param(name, str(value)[:MLFLOW_CHARACTERS])
            for name, value in config.items()
            if name not in known
        ]
        for first in range(0, len(fresh), MLFLOW_PARAMETERS):
            self._client.log_batch(self.run_id, params=fresh[first : first + MLFLOW_PARAMETERS])

    def log_values(self, values: dict[str, float], step: int) -> None:
        """As metrics."""
        now_ms = int(1000 * time.time())
        metrics = [self._entities.Metric(name, value, now_ms, step) for name, value in values.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def close(self, *, success: bool) -> None:
        """Say how the run ended."""
        self._client.set_terminated(self.run_id, "FINISHED" if success else "FAILED")


def _warn(name: str, error: Exception) -> None:
    say(f"warning: {name} failed, going on without it: {error}", file=sys.stderr, flush=True)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, int | float | str | bool) else str(value)
    return flat
