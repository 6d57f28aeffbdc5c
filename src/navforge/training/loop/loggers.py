"""Where curves go besides the CSV files of the run folder: TensorBoard always, W&B and MLflow by configuration."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from navforge.core.errors import ConfigError
from navforge.core.files import write_json
from navforge.core.screen import say

PACKAGES = {"wandb": "wandb", "mlflow": "mlflow"}
"""Python package of each optional logger."""
PROJECT = "navforge"
IDS = "loggers.json"
"""In the run folder: the ids under which servers know the run."""


class Loggers:
    """Sends values to every logger; on ranks but the first there are none."""

    def __init__(self, loggers: Sequence[Logger] = ()) -> None:
        self._loggers = list(loggers)

    def describe(self, config: dict[str, Any]) -> None:
        """The run's config, once."""
        self._each(lambda logger: logger.log_hyperparams(_flat(config)))

    def log(self, values: dict[str, float], step: int) -> None:
        """Values at an optimiser step."""
        self._each(lambda logger: logger.log_metrics(dict(values), step))

    def close(self, status: str) -> None:
        """No more values; `success` or `failed`. What is still on its way to a server is waited for."""
        self._each(lambda logger: logger.finalize(status))
        for logger in self._loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish(exit_code=0 if status == "success" else 1)

    def _each(self, action: Callable[[Logger], None]) -> None:
        """A logger that fails is left out from then on: training does not end because a server of curves is away."""
        for logger in list(self._loggers):
            try:
                action(logger)
            except Exception as error:  # third-party code at the boundary: reported, training continues without it
                name = type(logger).__name__
                say(f"warning: {name} failed, going on without it: {error}", file=sys.stderr, flush=True)
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
    loggers: list[Logger] = [TensorBoardLogger(folder, name="tensorboard", version="", purge_step=resumed_step + 1)]
    known = folder / IDS
    ids: dict[str, str] = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    if "wandb" in names:
        loggers.append(_wandb(folder, run, ids))
    if "mlflow" in names:
        loggers.append(_mlflow(folder, run, ids))
    if ids:
        write_json(known, ids)
    return Loggers(loggers)


def _wandb(folder: Path, run: str, ids: dict[str, str]) -> Logger:
    number = ids.setdefault("wandb", secrets.token_hex(4))
    offline = os.environ.get("WANDB_MODE", "online" if "WANDB_API_KEY" in os.environ else "offline") == "offline"
    return WandbLogger(name=run, id=number, save_dir=folder, offline=offline, project=PROJECT, resume="allow")


def _mlflow(folder: Path, run: str, ids: dict[str, str]) -> Logger:
    own = folder.resolve() / "mlflow"
    server = os.environ.get("MLFLOW_TRACKING_URI")
    own.mkdir(parents=True, exist_ok=True)
    logger = MLFlowLogger(
        experiment_name=PROJECT,
        run_name=run,
        run_id=ids.get("mlflow"),
        tracking_uri=server or f"sqlite:///{own / 'mlflow.db'}",
        artifact_location=None if server else own.as_uri(),
    )
    ids["mlflow"] = logger.run_id or ""
    return logger


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, int | float | str | bool) else str(value)
    return flat
