"""Agents by name: the reference agents, every planner with its checkpoint, and classes of other packages."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from navforge.agents.constant_velocity import ConstantVelocity
from navforge.agents.contract import Agent
from navforge.agents.human import Human
from navforge.agents.stop import Stop
from navforge.core import extensions
from navforge.core.config import did_you_mean
from navforge.core.device import pick_device
from navforge.core.errors import ConfigError, NavforgeError
from navforge.core.files import file_fingerprint
from navforge.data.paths import DataConfig
from navforge.training.recipes.catalog import RECIPES, recipe
from navforge.training.recipes.recipe_file import SUFFIXES

REFERENCE_AGENTS: tuple[type[Agent], ...] = (ConstantVelocity, Human, Stop)
"""Agents without weights."""


def names() -> tuple[str, ...]:
    """Every name of an agent of this package."""
    return (*(kind.name for kind in REFERENCE_AGENTS), *(recipe.name for recipe in RECIPES))


def check_name(
    name: str,
    checkpoint: Path | None = None,
    *,
    blank_camera: bool = False,
    features: Path | None = None,
    weights: str | None = None,
) -> None:
    """Raise ConfigError unless `build` can make such an agent, as far as that is known without making it.

    Args:
        name: one of `names()`; the planner in `checkpoint`, where it is of a recipe file, or that file; or
            `package.module:Class`, a subclass of `Agent`.
        checkpoint: given just where the agent needs one.
        blank_camera: only planners have cameras that can be blanked.
        features: only planners have encoders, whose tokens a feature store may hold.
        weights: and whose frozen weights may lie elsewhere.
    """
    of_encoder = {"features": features, "weights": weights}
    given = [key for key, value in of_encoder.items() if value is not None]
    if given and (":" in name or name in (kind.name for kind in REFERENCE_AGENTS)):
        raise ConfigError(
            f"{given[0]}: agent {name} has no encoder of navforge; drop {given[0]}={of_encoder[given[0]]}"
        )
    if features is not None and blank_camera:
        raise ConfigError("blank_camera: with features= no image is read; drop one of the two")
    if ":" in name:
        _arguments(_class(name), {"checkpoint": checkpoint})
        if blank_camera:
            raise ConfigError(
                f"blank_camera: {name} reads its cameras itself; only planners of navforge can be shown black"
            )
        return
    if name in (kind.name for kind in REFERENCE_AGENTS):
        if checkpoint is not None:
            raise ConfigError(f"checkpoint: agent {name} has no weights; drop checkpoint={checkpoint}")
        if blank_camera:
            raise ConfigError(f"blank_camera: agent {name} reads no camera")
        return
    if checkpoint is not None and name not in names() and not name.endswith(SUFFIXES):
        from navforge.agents.planner import require_name  # noqa: PLC0415 (loads torch)
        from navforge.models.checkpoints import read_checkpoint  # noqa: PLC0415

        require_name(read_checkpoint(checkpoint).planner["name"], name, checkpoint)
        return
    if name not in names() and not name.endswith(SUFFIXES):
        raise ConfigError(
            f"agent: expected one of {', '.join(names())}, a recipe (FILE.yaml) or a class (package.module:Class), got "
            f"{name!r}{did_you_mean(name, names())}"
        )
    if checkpoint is None:
        raise ConfigError(f"checkpoint: agent {name} is a planner; give the file navforge train wrote")


def build(
    name: str,
    checkpoint: Path | None = None,
    *,
    data: DataConfig | None = None,
    device: str = "auto",
    batch_size: int = 32,
    blank_camera: bool = False,
    features: Path | None = None,
    weights: str | None = None,
) -> Agent:
    """The agent of this name.

    Args:
        name: as `check_name`.
        checkpoint: trained weights, for planners.
        data: where sensor files are, for planners that read them; None takes the environment's.
        device: auto, cpu or cuda, for planners.
        batch_size: scenes per forward pass, for planners.
        blank_camera: show a planner black images.
        features: feature store to take the tokens of a planner's frozen encoder from.
        weights: where the frozen weights of a planner's encoder lie, if not where its checkpoint says.

    Raises:
        ConfigError: unknown name, a checkpoint missing or too many, one of another planner, or a class that cannot be
            used or made (with its traceback).
        DataError: the checkpoint cannot be read.
    """
    check_name(name, checkpoint, blank_camera=blank_camera, features=features, weights=weights)
    data = data or DataConfig()
    for kind in REFERENCE_AGENTS:
        if kind.name == name:
            return kind()
    if ":" in name:
        return _outside(name, checkpoint, data, device, batch_size)
    assert checkpoint is not None
    from navforge.agents.planner import PlannerAgent  # noqa: PLC0415 (loads torch)

    planner = recipe(name).name if name.endswith(SUFFIXES) else name
    return PlannerAgent(
        planner,
        checkpoint,
        data,
        device=device,
        batch_size=batch_size,
        blank_camera=blank_camera,
        features=features,
        weights=weights,
    )


def _class(name: str) -> type[Agent]:
    return extensions.load(name, Agent, "agent")  # type: ignore[type-abstract]


def _outside(name: str, checkpoint: Path | None, data: DataConfig, device: str, batch_size: int) -> Agent:
    """An agent of another package."""
    cls = _class(name)
    given = {"checkpoint": checkpoint, "data": data, "device": pick_device(device), "batch_size": batch_size}
    if checkpoint is not None and not checkpoint.exists():
        raise ConfigError(f"checkpoint: {checkpoint} does not exist")
    try:
        agent = cls(**_arguments(cls, given))
    except NavforgeError:
        raise
    except Exception as error:  # the boundary to code of others
        trace = extensions.users_traceback(error, cls.__module__) or f"{type(error).__name__}: {error}"
        raise ConfigError(f"agent: {name} cannot be made\n{trace}") from error
    if not isinstance(getattr(agent, "name", None), str):
        raise ConfigError(f'agent: {name} has no name; give the class one: name = "{cls.__name__.lower()}"')
    if checkpoint is not None and checkpoint.is_file() and agent.fingerprint is None:
        agent.fingerprint = file_fingerprint(checkpoint)
    return agent


def _arguments(cls: type[Agent], given: dict[str, Any]) -> dict[str, Any]:
    """Of what navforge can give, what the constructor of a class takes.

    Raises:
        ConfigError: it asks for more, or has no use for the checkpoint.
    """
    parameters = inspect.signature(cls).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return given
    offered = ("checkpoint", "data", "device", "batch_size")
    for parameter in parameters:
        if (
            parameter.name not in offered
            and parameter.default is parameter.empty
            and parameter.kind is not parameter.VAR_POSITIONAL
        ):
            raise ConfigError(
                f"agent: the constructor of {extensions.name_of(cls)} asks for {parameter.name!r}; navforge gives "
                f"{', '.join(offered)}; give others a default"
            )
        if parameter.name == "checkpoint" and parameter.default is parameter.empty and given["checkpoint"] is None:
            raise ConfigError(f"checkpoint: {extensions.name_of(cls)} needs one; give checkpoint=FILE")
    taken = {parameter.name for parameter in parameters}
    if given["checkpoint"] is not None and "checkpoint" not in taken:
        raise ConfigError(
            f"checkpoint: the constructor of {extensions.name_of(cls)} has no parameter of that name; add it, or drop "
            "checkpoint="
        )
    return {name: value for name, value in given.items() if name in taken}
