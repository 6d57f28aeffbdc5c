"""A planner on one real batch: inputs as evaluation makes them and as training makes them, features, plans, losses.

A planner whose inputs or features are lists of tensors can train for hours and fail at evaluation, where scenes come
one by one. So types and shapes are looked at before, with the batch and with a single scene.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from navforge.core.errors import DataError
from navforge.core.extensions import is_own, users_traceback
from navforge.core.screen import say
from navforge.models.contract import Features, HeadOutput, Inputs, PlannerOutput
from navforge.models.planner import Planner
from navforge.preflight.finding import Finding, ok, refused
from navforge.simulation.plans import horizon_interval
from navforge.training.loop.module import Batch, targets_of

PLANNER = "planner"
SCENES = 3
"""A batch that no other dimension is likely to equal."""
SLOW_S = 4.0
"""A planner that takes longer for one scene, on a CPU, is not tried on more."""
_REMEDY = "return tensors as models/contract.py says; tests/models/test_contract.py tries every listed part"


def check_planner(planner: Planner, batch: Batch, inputs: Inputs) -> Iterator[Finding]:
    """Everything a planner takes and gives, for a batch and for one scene.

    Args:
        planner: on CPU, as built; put into evaluation mode and back.
        batch: as the loader collates it, at least one scene.
        inputs: of the same scenes as evaluation reads them.
    """
    problems = list(_inputs(batch["inputs"], inputs))
    was_training = planner.training
    planner.eval()
    try:
        began = time.monotonic()
        for scenes in (1, SCENES):
            if scenes > 1 and time.monotonic() - began > SLOW_S:
                break
            problems += _run(planner, cut(batch, scenes), scenes)
    finally:
        planner.train(was_training)
    for problem in dict.fromkeys(problems):
        yield refused(PLANNER, problem, _REMEDY)
    if not problems:
        names = ", ".join(f"{name} {_shape(value)}" for name, value in batch["inputs"].items())
        yield ok(PLANNER, f"inputs {names}; features, plans and losses are finite tensors")


def cut(value: Any, scenes: int) -> Any:
    """The first scenes of a collated value; scenes are repeated where it has fewer."""
    if isinstance(value, Tensor):
        times = -(-scenes // max(1, len(value)))
        return torch.cat([value] * times)[:scenes] if times > 1 else value[:scenes]
    if isinstance(value, dict):
        return {name: entry if name == "corrupt" else cut(entry, scenes) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return (list(value) * -(-scenes // max(1, len(value))))[:scenes]
    return value


def _inputs(collated: Any, evaluated: Any) -> Iterator[str]:
    """Names, types and shapes of both ways to make inputs."""
    if set(collated) != set(evaluated):
        yield f"training reads {sorted(collated)}, evaluation {sorted(evaluated)}"
    for name in sorted(set(collated) & set(evaluated)):
        one, other = collated[name], evaluated[name]
        if not isinstance(one, Tensor) or not isinstance(other, Tensor):
            yield f"input {name} is {_kind(one)} in training and {_kind(other)} in evaluation, not a tensor"
        elif one.dtype != other.dtype or one.shape[1:] != other.shape[1:]:
            yield f"input {name} is {_shape(one)} in training and {_shape(other)} in evaluation"


def _run(planner: Planner, batch: Batch, scenes: int) -> list[str]:
    """Problems of one pass; where a stage fails, the stages after it are left out."""
    seen: dict[str, Any] = {}
    hook = planner.encoder.register_forward_hook(lambda _module, _inputs, features: seen.update(features=features))
    try:
        with torch.no_grad():
            found, output = _stage(planner, "the forward pass", scenes, lambda: planner(batch["inputs"]))
            problems = [*_features(seen.get("features"), scenes, planner.encoder.channels), *found]
            if problems:
                return problems
            problems = list(_fields("output", output, scenes))
            found, losses = _stage(planner, "the loss", scenes, lambda: planner.loss(output, targets_of(batch)))
            problems += found or list(_losses(losses))
            found, plan = _stage(planner, "the plan", scenes, lambda: planner.head.plan(output))
            return problems + (found or list(_plan(plan, scenes)))
    finally:
        hook.remove()


def _stage(planner: Planner, what: str, scenes: int, function: Callable[[], Any]) -> tuple[list[str], Any]:
    try:
        return [], function()
    except Exception as error:  # the boundary to the planner under test: its error is the finding
        show_users_traceback(error, planner.config.classes)
        return [f"{what} of {scenes} scene{'s' * (scenes > 1)} fails: {type(error).__name__}: {error}"], None


def show_users_traceback(error: BaseException, classes: Iterable[type]) -> None:
    """Print the traceback of an error in an encoder or head of another package; a finding has one line."""
    if trace := users_traceback(error, *(cls.__module__ for cls in classes if not is_own(cls))):
        say(trace, file=sys.stderr)


def _features(features: Any, scenes: int, channels: int) -> Iterator[str]:
    if features is None:
        return  # the encoder itself failed; the forward pass says why
    if not isinstance(features, Features):
        yield f"the encoder returns {_kind(features)}, not Features"
        return
    tokens = features.tokens
    if not isinstance(tokens, Tensor):
        yield f"the encoder's tokens are {_kind(tokens)}, not a tensor (B, L, {channels})"
    elif tokens.ndim != 3 or len(tokens) != scenes or tokens.shape[2] != channels:
        yield f"the encoder's tokens are {_shape(tokens)}, expected ({scenes}, L, {channels})"
    elif not tokens.isfinite().all():
        yield "the encoder's tokens are not finite"
    if features.bev is not None and (not isinstance(features.bev, Tensor) or features.bev.ndim != 4):
        shown = _shape(features.bev) if isinstance(features.bev, Tensor) else _kind(features.bev)
        yield f"the encoder's BEV features are {shown}, expected a tensor (B, C, H, W)"


def _fields(name: str, value: Any, scenes: int) -> Iterator[str]:
    """Every leaf of a head's output is a tensor with the batch first."""
    if isinstance(value, Tensor):
        if value.ndim and len(value) != scenes:
            yield f"{name} is {_shape(value)} for {scenes} scenes"
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _fields(f"{name}.{key}", entry, scenes)
    elif isinstance(value, HeadOutput) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        for field in dataclasses.fields(value):
            yield from _fields(f"{name}.{field.name}", getattr(value, field.name), scenes)
    elif value is not None and not isinstance(value, int | float):
        yield f"{name} is {_kind(value)}, not a tensor"


def _losses(losses: Any) -> Iterator[str]:
    if not isinstance(losses, dict) or "total" not in losses:
        yield f"the loss is {_kind(losses)}, expected a dict with total"
        return
    for name, value in losses.items():
        if not isinstance(value, Tensor) or value.ndim:
            yield f"loss {name} is {_shape(value) if isinstance(value, Tensor) else _kind(value)}, not a scalar tensor"
        elif not value.isfinite():
            yield f"loss {name} is {value.item():g}"


def _plan(plan: Any, scenes: int) -> Iterator[str]:
    if not isinstance(plan, PlannerOutput):
        yield f"the plan is {_kind(plan)}, not PlannerOutput"
        return
    poses = plan.trajectories
    if not isinstance(poses, Tensor):
        yield f"the plan's trajectories are {_kind(poses)}, not a tensor (B, T, 3)"
    elif poses.ndim != 3 or len(poses) != scenes or poses.shape[2] != 3:
        yield f"the plan's trajectories are {_shape(poses)}, expected ({scenes}, T, 3)"
    elif not poses.isfinite().all():
        yield "the plan's trajectories are not finite"
    else:
        try:
            horizon_interval(plan.interval_s, poses.shape[1])
        except DataError as error:
            yield f"the plan cannot be scored: {error}"


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        inside = f" of {_kind(value[0])}" if value else ""
        return f"a {type(value).__name__}{inside}"
    return f"a {type(value).__name__}"


def _shape(value: Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
