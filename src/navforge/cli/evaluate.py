"""`navforge evaluate`: an agent on a split, scored by the benchmark's rules."""

from __future__ import annotations

from navforge.cli.keys.evaluate import Config
from navforge.cli.notices import warn
from navforge.data.splits import load_split
from navforge.evaluation import summary
from navforge.evaluation.evaluate import Evaluation
from navforge.evaluation.latency import render_latency
from navforge.evaluation.official import OfficialTable, disagreements, matching_protocol, read_official
from navforge.evaluation.run import run_evaluation
from navforge.evaluation.tables import subscores
from navforge.scoring.protocols import parse_protocols


def run(config: Config) -> None:
    """Evaluate, write and print; a failed scene leaves `failures.json` and no score."""
    official = _official(config)
    _print(execute(config), official)


def execute(config: Config) -> Evaluation:
    """Evaluate and write, with warnings of the split."""
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    warn(split)
    return run_evaluation(config, split)


def _print(evaluation: Evaluation, official: tuple[str, OfficialTable] | None) -> None:
    console = summary.console()
    console.print(evaluation.table.meta.coverage(), soft_wrap=True)
    for name, one in evaluation.summaries.items():
        theirs = official[1] if official is not None and official[0] == name else None
        title = evaluation.table.meta.agent or ""
        for printed in summary.render({name: one}, title, None if theirs is None else theirs.means):
            console.print(printed)
        if theirs is not None:
            cells = disagreements(evaluation.table.of(name), theirs)
            console.print(f"{name}: {cells.height} cells differ from the official table by more than 1e-4")
            for token, column, here, there in cells.head(20).rows():
                console.print(f"  {token} {column}: {here} here, {there} official")
    if evaluation.latency is not None:
        console.print(render_latency(evaluation.latency), soft_wrap=True)
    heading = f"{evaluation.table.meta.agent}: beside the score"
    console.print(summary.render_columns(evaluation.metric_summaries, heading))


def _official(config: Config) -> tuple[str, OfficialTable] | None:
    """The official table with the protocol it is compared under."""
    if config.official is None:
        return None
    table = read_official(config.official)
    return matching_protocol(table, {name: subscores(name) for name in parse_protocols(config.protocol)}), table
