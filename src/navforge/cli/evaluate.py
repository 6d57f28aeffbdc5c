"""`navforge evaluate`: an agent on a split, scored by the benchmark's rules."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path

from navforge import agents
from navforge.cli.keys.evaluate import Config
from navforge.cli.notices import warn
from navforge.core import provenance
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import atomic_path, file_fingerprint, write_json
from navforge.core.products import EVALUATION, claim
from navforge.data.scenes import read_scenes
from navforge.data.splits import Split, load_split
from navforge.evaluation import summary, tables, trajectories
from navforge.evaluation.evaluate import Evaluation, evaluate_agent
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.folder import FAILURES, METRICS, PLANS, RESULT, SCORES
from navforge.evaluation.further_metrics import load_metrics
from navforge.evaluation.latency import Latency, measure_latency, render_latency
from navforge.evaluation.official import OfficialTable, disagreements, matching_protocol, read_official
from navforge.evaluation.oracle_gap import add_oracle_gap
from navforge.evaluation.score import open_cache
from navforge.evaluation.tables import subscores
from navforge.metric_cache.store import MetricCache
from navforge.scoring.protocols import parse_protocols
from navforge.teacher.store import SCORE, TeacherStore


def run(config: Config) -> None:
    """Evaluate, write and print; a failed scene leaves `failures.json` and no score."""
    official = _official(config)
    _print(execute(config), official)


def execute(config: Config) -> Evaluation:
    """Evaluate and write; the results of an earlier evaluation are replaced only by whole new ones."""
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    split.require_annotations()
    warn(split)
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
    with claim(config.out, EVALUATION):
        return _evaluate(config, split, cache, agent)


def _evaluate(config: Config, split: Split, cache: MetricCache, agent: agents.Agent) -> Evaluation:
    _require_same(config, split, cache, agent)
    metrics = load_metrics(config.metrics)
    teacher = None if config.teacher is None else _teacher(config, config.teacher, agent, split)
    latency = _latency(config, split, agent) if config.latency else None
    (config.out / FAILURES).unlink(missing_ok=True)
    try:
        found = evaluate_agent(
            agent,
            split,
            config.data,
            cache,
            parse_protocols(config.protocol),
            human_filter=config.human_filter,
            traffic=config.traffic,
            allow_missing=config.allow_missing,
            metrics=metrics,
            workers=config.workers,
        )
    except ScenesFailedError as failed:
        failed.write(config.out / FAILURES)
        raise
    found = replace(found, latency=latency)
    if teacher is not None and agent.vocabulary is not None:
        metrics_and_gap = add_oracle_gap(found.metrics, found.trajectories, agent.vocabulary, teacher)
        found = replace(found, metrics=metrics_and_gap)
    publish(found, config, (*agent.classes, *map(type, metrics)))
    return found


def _teacher(config: Config, path: Path, agent: agents.Agent, split: Split) -> TeacherStore:
    """The teacher store of the agent's vocabulary, with scores of a protocol that is evaluated, of every scene."""
    if agent.vocabulary is None:
        raise ConfigError(f"teacher: agent {agent.name} does not choose from a vocabulary, so it has no oracle gap")
    store = TeacherStore.open(path, agent.vocabulary)
    protocols = parse_protocols(config.protocol)
    if store.protocol not in protocols:
        raise ConfigError(
            f"teacher: {path} holds scores of {store.protocol}, the evaluation is of {', '.join(protocols)}; give the "
            "store of one of them"
        )
    store.require(tokens=split.tokens, columns=(SCORE,), protocol=store.protocol, cache=None)
    return store


def _latency(config: Config, split: Split, agent: agents.Agent) -> Latency:
    """Of the first scenes of the split."""
    scenes = chain.from_iterable(read_scenes(split, config.data, log) for log in split.logs)
    return measure_latency(agent, list(islice(scenes, config.latency_repeats)), config.latency_repeats)


def _require_same(config: Config, split: Split, cache: MetricCache, agent: agents.Agent) -> None:
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


def publish(found: Evaluation, config: Config, classes: tuple[type, ...] = ()) -> None:
    """Write plans, tables and, last, the summary, which names the checksums of the others.

    An earlier summary goes when the new plans and the new table are written beside the earlier ones.
    """
    with atomic_path(config.out / PLANS) as plans, atomic_path(config.out / SCORES) as scores:
        trajectories.write(plans, found.trajectories)
        tables.write(scores, found.table)
        (config.out / RESULT).unlink(missing_ok=True)
    (config.out / METRICS).unlink(missing_ok=True)
    provenance.record(config.out, config, name="evaluate", classes=classes)
    result = summary.to_json(found.table, found.summaries, provenance.collect(classes=classes))
    result["files"] = {SCORES: tables.checksum(config.out / SCORES), PLANS: file_fingerprint(config.out / PLANS)}
    with atomic_path(config.out / METRICS) as partial:
        found.metrics.write_parquet(partial)
    result["files"][METRICS] = file_fingerprint(config.out / METRICS)
    result["metrics"] = summary.columns_to_json(found.metric_summaries)
    if found.latency is not None:
        result["latency"] = asdict(found.latency)
    write_json(config.out / RESULT, result)


def _print(found: Evaluation, official: tuple[str, OfficialTable] | None) -> None:
    console = summary.console()
    console.print(found.table.meta.coverage(), soft_wrap=True)
    for name, one in found.summaries.items():
        theirs = official[1] if official is not None and official[0] == name else None
        title = found.table.meta.agent or ""
        for printed in summary.render({name: one}, title, None if theirs is None else theirs.means):
            console.print(printed)
        if theirs is not None:
            cells = disagreements(found.table.of(name), theirs)
            console.print(f"{name}: {cells.height} cells differ from the official table by more than 1e-4")
            for token, column, here, there in cells.head(20).rows():
                console.print(f"  {token} {column}: {here} here, {there} official")
    if found.latency is not None:
        console.print(render_latency(found.latency), soft_wrap=True)
    heading = f"{found.table.meta.agent}: beside the score"
    console.print(summary.render_columns(found.metric_summaries, heading))


def _official(config: Config) -> tuple[str, OfficialTable] | None:
    """The official table with the protocol it is compared under."""
    if config.official is None:
        return None
    table = read_official(config.official)
    return matching_protocol(table, {name: subscores(name) for name in parse_protocols(config.protocol)}), table
