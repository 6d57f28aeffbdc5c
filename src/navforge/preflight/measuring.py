"""The order of measurements on a real part of the split: the planner, an evaluation, loader workers, steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil
import torch
from lightning_fabric import seed_everything

from navforge.core.device import CPU, device_name
from navforge.core.errors import NavforgeError
from navforge.data.scenes import read_scenes
from navforge.data.splits import Split
from navforge.features.dataset import FeatureDataset
from navforge.features.store import FeatureStore
from navforge.inputs.dataset import ExampleSet, SceneDataset
from navforge.inputs.frames import FRAME
from navforge.inputs.read import read_inputs
from navforge.inputs.store import InputStore
from navforge.models.planner import Planner
from navforge.preflight.contract import SLOW_S, check_planner
from navforge.preflight.files import FEATURES
from navforge.preflight.finding import REFUSED, ok, refused_by, warning
from navforge.preflight.loading import measure_loader, read_batch
from navforge.preflight.request import EVALUATED, EVALUATION, LOADING, SCENES, STEP, Request
from navforge.preflight.stepping import count_bytes, measure_checkpoint, measure_steps
from navforge.preflight.steps import StepCost
from navforge.teacher.store import TeacherStore
from navforge.training.loop.learner import Batch, Learner
from navforge.training.loop.loaders import dataset_of
from navforge.training.loop.module import PlannerModule
from navforge.training.pretraining.config import PretrainConfig
from navforge.training.pretraining.learner import IJepaLearner
from navforge.training.pretraining.setup import frame_dataset
from navforge.training.run_base import RunBase
from navforge.training.run_config import RunConfig
from navforge.training.smoke import PROTOCOL, smoke_evaluation
from navforge.vocabulary.vocabulary import Vocabulary

Send = Callable[[str, Any], None]


def measure(request: Request, send: Send, deadline: float) -> None:
    """Measure; every result goes through `send(kind, value)` as soon as it is there.

    Kinds: `begin` (a stage), `finding`, `loader` (LoaderCost), `step` (StepCost without samples), `size` (of the step
    that is tried next), `sample` (StepSample), `bound`, `host`, `out_of_memory` (size), `checkpoint` (seconds).
    """
    config = request.config
    torch.set_num_threads(request.threads)  # more would wait for each other at every operation of a busy machine
    if isinstance(config, PretrainConfig):
        _measure_pretraining(request, config, send, deadline)
        return
    assert isinstance(config, RunConfig), "a run trains a planner or pre-trains an encoder"
    send("begin", "reading")
    part = part_of(request.split, SCENES)
    vocabulary = None
    if config.planner.head.needs_vocabulary and config.vocabulary is not None:
        vocabulary = Vocabulary.load(config.vocabulary)
    features = None if config.features is None else FeatureStore.open(config.features)
    dataset = _dataset(config, part, vocabulary, features)
    batch = read_batch(dataset, max(2, min(request.batch_sizes[-1], SCENES)))
    send("begin", "planner")
    planner = _built(config, vocabulary, features, send)
    if planner is None:
        return
    module = PlannerModule(planner, config.train.augment)
    rest = len(request.split) - len(part) + request.val_scenes
    # Before the planner computes: workers are forks, and do without what that leaves behind.
    _measure_loading(request, module, dataset, batch, _kept_bytes(config, batch, rest), "scenes", send)
    send("begin", "planner")
    seconds = _try_contract(planner, config, part, batch, features, send)
    if seconds is None:
        return
    slow = seconds > SLOW_S
    if request.evaluate:
        send("begin", EVALUATION)
        _evaluate(planner, config, part, 1 if slow else EVALUATED, features, send)
    _measure_checkpoint(config, module, send)
    send("begin", STEP)
    if slow and request.count:
        send(
            "finding",
            warning(STEP, "not tried: this CPU is too slow for a planner of this size", "a GPU node tries it"),
        )
        return
    _steps(request, module, batch, send, deadline)


def _built(
    config: RunConfig, vocabulary: Vocabulary | None, features: FeatureStore | None, send: Send
) -> Planner | None:
    """The planner as training begins with it; None where its encoder is not that of the feature store."""
    seed_everything(config.train.seed, verbose=False)
    planner = config.planner.build(vocabulary)
    try:
        if features is not None:
            features.require_trunk(planner)
    except NavforgeError as error:
        send("finding", refused_by(FEATURES, error, "encode the splits with this planner's encoder"))
        return None
    return planner


def _try_contract(
    planner: Planner, config: RunConfig, part: Split, batch: Batch, features: FeatureStore | None, send: Send
) -> float | None:
    """Seconds in which the planner took and gave what it should, in training and in evaluation; None if it did not."""
    first = read_scenes(part, config.data, next(iter(part.logs)))[:1]
    began = time.monotonic()
    if features is None:
        inputs = read_inputs(first, config.planner, config.data)
    else:
        inputs = features.inputs([scene.token for scene in first], config.planner)
    findings = list(check_planner(planner, batch, inputs))
    for finding in findings:
        send("finding", finding)
    return None if any(finding.level == REFUSED for finding in findings) else time.monotonic() - began


def _measure_pretraining(request: Request, config: PretrainConfig, send: Send, deadline: float) -> None:
    """As `measure`, of frames; there is no planner to try out."""
    assert request.frames is not None, "the frames are what is learned from"
    send("begin", "reading")
    dataset = frame_dataset(request.frames, config)
    batch = read_batch(dataset, max(2, min(request.batch_sizes[-1], SCENES)))
    send("begin", "planner")
    learner = IJepaLearner(config)
    rest = request.scenes + request.val_scenes - len(dataset) if config.train.keep_inputs else 0
    _measure_loading(request, learner, dataset, batch, rest * dataset[0][FRAME].nbytes, "frames", send)
    _measure_checkpoint(config, learner, send)
    send("begin", STEP)
    _steps(request, learner, batch, send, deadline)


def _measure_loading(
    request: Request, learner: Learner, dataset: ExampleSet, batch: Batch, extra_bytes: int, unit: str, send: Send
) -> None:
    """What is known of steps before the first one, then loader workers.

    Args:
        request: what is measured.
        learner: that takes the steps.
        dataset: that workers read.
        batch: of it.
        extra_bytes: what a rank would hold of examples that are not in it.
        unit: what an example is, in words.
        send: takes the results.
    """
    send("step", _cost(request.config, learner))
    if request.count:
        send("bound", count_bytes(learner, batch, request.config.train))
    send("begin", LOADING)
    cost = measure_loader(dataset, batch_size=request.batch_sizes[-1], extra_bytes=extra_bytes)
    send("loader", cost)
    rate = f"{cost.examples_per_s:.1f} {unit}/s per worker (files as the cache of this machine has them)"
    send("finding", ok(LOADING, rate))


def _measure_checkpoint(config: RunBase, learner: Learner, send: Send) -> None:
    with contextlib.suppress(OSError):  # whether the run folder can be written is a check of its own
        send("checkpoint", measure_checkpoint(learner, config.out))


def part_of(split: Split, scenes: int) -> Split:
    """The first scenes of a split, log by log."""
    logs: dict[str, tuple[str, ...]] = {}
    left = scenes
    for name, tokens in split.logs.items():
        if left <= 0:
            break
        logs[name] = tokens[:left]
        left -= len(logs[name])
    return replace(split, logs=logs)


def _dataset(
    config: RunConfig, part: Split, vocabulary: Vocabulary | None, features: FeatureStore | None
) -> SceneDataset | FeatureDataset:
    teacher = None
    if config.planner.head.teacher_columns and config.teacher is not None and vocabulary is not None:
        teacher = TeacherStore.open(config.teacher, vocabulary)
    store = None if config.store is None else InputStore.open(config.store)
    return dataset_of(part, config.planner, config.data, config.train, teacher=teacher, store=store, features=features)


def _evaluate(
    planner: Planner, config: RunConfig, part: Split, count: int, features: FeatureStore | None, send: Send
) -> None:
    protocol = config.planner.head.teacher_protocol or PROTOCOL
    scores = smoke_evaluation(
        planner, part, config.data, config.cache, protocol=protocol, count=count, features=features
    )
    mean = sum(scores.values()) / len(scores)
    send(
        "finding",
        ok(EVALUATION, f"{len(scores)} scenes planned and scored by the fresh planner: {protocol} {mean:.3f}"),
    )


def _kept_bytes(config: RunConfig, batch: Batch, scenes: int) -> int:
    """Decoded inputs of scenes that were not read here and that a rank would hold."""
    if not config.train.keep_inputs or config.store is not None or config.features is not None:
        return 0
    inputs = batch["inputs"].values()
    return scenes * sum(tensor[0].nbytes for tensor in inputs)


def _cost(config: RunBase, learner: Learner) -> StepCost:
    """What is known of steps before the first one."""
    device = device_name(config.train.accelerator)
    state, outside = learner.state_dict(), learner.outside
    return StepCost(
        device=device,
        on_gpu=device != CPU,
        samples=(),
        weight_bytes=sum(tensor.nbytes for tensor in state.values()),
        state_bytes=sum(tensor.nbytes for name, tensor in state.items() if name not in outside),
        trainable=sum(p.numel() for p in learner.parameters() if p.requires_grad),
    )


def _steps(request: Request, learner: Learner, batch: Batch, send: Send, deadline: float) -> None:
    config = request.config
    before = psutil.Process().memory_info().rss
    size = request.batch_sizes[0]
    send("size", size)
    try:
        samples = measure_steps(
            learner,
            batch,
            config.train,
            request.batch_sizes,
            memory_bytes=request.memory_bytes,
            deadline=deadline,
        )
        for sample in samples:
            send("sample", sample)
            larger = [known for known in request.batch_sizes if known > sample.batch_size]
            size = larger[0] if larger else sample.batch_size
            send("size", size)
    except torch.OutOfMemoryError:
        send("out_of_memory", size)
    send("host", max(0, psutil.Process().memory_info().rss - before))
