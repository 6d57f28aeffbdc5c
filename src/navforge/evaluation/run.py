"""Evaluate an agent on a split: from files to files."""

from __future__ import annotations

from dataclasses import asdict, replace

from navforge import agents
from navforge.core import provenance
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import atomic_path, file_fingerprint, write_json
from navforge.core.products import EVALUATION, claim
from navforge.data.splits import Split
from navforge.evaluation import summary, tables, trajectories
from navforge.evaluation.config import EvaluateConfig
from navforge.evaluation.evaluate import Evaluation, evaluate_agent
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.folder import FAILURES, METRICS, PLANS, RESULT, SCORES
from navforge.evaluation.further_metrics import load_metrics
from navforge.evaluation.oracle_gap import open_teacher
from navforge.evaluation.score import open_cache
from navforge.metric_cache.store import MetricCache
from navforge.scoring.protocols import parse_protocols


def run_evaluation(config: EvaluateConfig, split: Split) -> Evaluation:
    """Evaluate and write; the results of an earlier evaluation are replaced only by whole new ones.

    Raises:
        ConfigError: keys that do not fit each other, or a folder that holds another evaluation.
        DataError: something is missing or damaged.
        ScenesFailedError: the agent, the scoring or a metric failed on some scenes; `failures.json` lists them.
    """
    split.require_annotations()
    cache = open_cache(config.cache, split, allow_missing=config.allow_missing)
    agent = agents.build(
        config.agent,
        config.checkpoint,
        data=config.data,
        device=config.device,
        batch_size=config.batch_size,
        blank_camera=config.blank_camera,
        features=config.features,
        weights=config.weights,
    )
    protocols = parse_protocols(config.protocol)
    with claim(config.out, EVALUATION):
        _require_same(config, split, cache, agent)
        metrics = load_metrics(config.metrics)
        teacher = None if config.teacher is None else open_teacher(config.teacher, agent, protocols, split)
        (config.out / FAILURES).unlink(missing_ok=True)
        try:
            evaluation = evaluate_agent(
                agent,
                split,
                config.data,
                cache,
                protocols,
                human_filter=config.human_filter,
                traffic=config.traffic,
                allow_missing=config.allow_missing,
                metrics=metrics,
                teacher=teacher,
                latency_repeats=config.latency_repeats if config.latency else 0,
                workers=config.workers,
            )
        except ScenesFailedError as failed:
            failed.write(config.out / FAILURES)
            raise
        _publish(evaluation, config, (*agent.classes, *map(type, metrics)))
    return evaluation


def _require_same(config: EvaluateConfig, split: Split, cache: MetricCache, agent: agents.Agent) -> None:
    """Raise ConfigError if the folder holds results of another evaluation, which would be lost."""
    if not (config.out / RESULT).is_file():
        return
    try:
        held = tables.read(config.out / SCORES).meta
    except DataError as error:
        raise ConfigError(
            f"out: {config.out} holds the results of an evaluation whose table cannot be read ({error}); give another "
            "out= or delete it"
        ) from error
    present = {
        "agent": (held.agent, agent.name),
        "checkpoint": (held.checkpoint, agent.fingerprint),
        "cache": (held.cache, cache.fingerprint),
        "split": (f"{held.split} ({held.split_hash})", f"{split.name} ({split.hash})"),
        "traffic": (held.traffic, config.traffic),
        "human_filter": (held.human_filter, config.human_filter),
        "protocol": (",".join(held.protocols), ",".join(parse_protocols(config.protocol))),
    }
    differing = [f"{name}={old}, not {new}" for name, (old, new) in present.items() if old != new]
    if differing:
        raise ConfigError(
            f"out: {config.out} holds the results of another evaluation ({'; '.join(differing)}); give another out= "
            "or delete it"
        )


def _publish(evaluation: Evaluation, config: EvaluateConfig, classes: tuple[type, ...]) -> None:
    """Write plans, tables and, last, the summary, which names the checksums of the others.

    An earlier summary goes when the new plans and the new table are written beside the earlier ones.
    """
    with atomic_path(config.out / PLANS) as plans, atomic_path(config.out / SCORES) as scores:
        trajectories.write(plans, evaluation.trajectories)
        tables.write(scores, evaluation.table)
        (config.out / RESULT).unlink(missing_ok=True)
    (config.out / METRICS).unlink(missing_ok=True)
    provenance.record(config.out, config, name="evaluate", classes=classes)
    result = summary.to_json(evaluation.table, evaluation.summaries, provenance.collect(classes=classes))
    result["files"] = {SCORES: tables.checksum(config.out / SCORES), PLANS: file_fingerprint(config.out / PLANS)}
    measured = tables.write_metrics(config.out / SCORES, replace(evaluation.table, metrics=evaluation.metrics))
    result["files"][METRICS] = file_fingerprint(measured)
    result["metrics"] = summary.columns_to_json(evaluation.metric_summaries)
    if evaluation.latency is not None:
        result["latency"] = asdict(evaluation.latency)
    write_json(config.out / RESULT, result)
