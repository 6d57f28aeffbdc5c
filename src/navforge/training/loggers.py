"""Where curves go besides the CSV files of the run folder: TensorBoard always, W&B and MLflow by configuration."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from navforge.core.errors import ConfigError

PACKAGES = {"wandb": "wandb", "mlflow": "mlflow"}
"""Python package of each optional logger."""


class Loggers:
    """Sends values to every logger; on ranks but the first there are none."""

    def __init__(self, loggers: Sequence[Logger] = ()) -> None:
        self._loggers = list(loggers)

    def describe(self, config: dict[str, Any]) -> None:
        """The run's config, once."""
        for logger in self._loggers:
            logger.log_hyperparams(_flat(config))

    def log(self, values: dict[str, float], step: int) -> None:
        """Values at an optimiser step."""
        for logger in self._loggers:
            logger.log_metrics(dict(values), step)

    def close(self, status: str) -> None:
        """No more values; `success` or `failed`."""
        for logger in self._loggers:
            logger.finalize(status)


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
    (WANDB_MODE, MLFLOW_TRACKING_URI) name a server; a resumed run goes on under the name it had.

    Raises:
        ConfigError: the package of one of them is absent.
    """
    require_loggers(names)
    loggers: list[Logger] = [TensorBoardLogger(folder, name="tensorboard", version="", purge_step=resumed_step + 1)]
    if "wandb" in names:
        import os  # noqa: PLC0415

        offline = os.environ.get("WANDB_MODE", "offline" if "WANDB_API_KEY" not in os.environ else "") == "offline"
        loggers.append(
            WandbLogger(
                name=run, id=f"navforge-{run}", save_dir=folder, offline=offline, project="navforge", resume="allow"
            )
        )
    if "mlflow" in names:
        import os  # noqa: PLC0415

        where = os.environ.get("MLFLOW_TRACKING_URI", (folder / "mlflow").resolve().as_uri())
        loggers.append(MLFlowLogger(experiment_name="navforge", run_name=run, tracking_uri=where))
    return Loggers(loggers)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, int | float | str | bool) else str(value)
    return flat
