"""`navforge study plan FILE`: the grid, what is there of it, what it will take, and what it will be able to show."""

from __future__ import annotations

from typing import Any

from navforge.cli.keys.studies import SLURM
from navforge.cli.keys.study_plan import Config
from navforge.cli.study_files import configure, graph_to_launch
from navforge.cli.study_slurm import look_ahead
from navforge.core.screen import say, screen
from navforge.reports.sections import print_section
from navforge.reports.study_plan import detectable_lines, disk_line, plan_sections, sum_lines
from navforge.studies.disk import rooms
from navforge.studies.plan import S_PER_H, Cost, predictions
from navforge.studies.splits import require_no_overlap_in


def run(config: Config) -> None:
    """Print the tables."""
    graph = graph_to_launch(config)
    require_no_overlap_in(graph, configure)
    say(f"{graph.study.name}: {graph.study.question}\n{graph.out}")
    costs = predictions(graph, configure, measured if config.measure else None)
    console = screen(width=160)
    from navforge.preflight.bytes_written import bytes_written  # noqa: PLC0415 (loads torch)

    sizes = rooms(graph, configure, bytes_written)
    for section in plan_sections(graph, costs, sizes):
        print_section(console, section)
    say("")
    for line in (*sum_lines(graph, costs), disk_line(graph, sizes), *detectable_lines(graph, configure)):
        say(line)
    if config.launch == SLURM:
        plan = look_ahead(graph, costs)
        say(f"\nJobs that study run launch=slurm would submit: {len(plan.jobs)}")
        for line in (*plan.lines(), *plan.warnings()):
            say(line)
    for warning in graph.warnings:
        say(f"warning: {warning}")


def measured(config: Any) -> Cost | None:
    """What a run will take by the preflight's measurement; None where it cannot tell.

    Args:
        config: of `navforge train`.
    """
    from navforge.preflight import submission  # noqa: PLC0415 (imports torch, which a plan without measurement lacks)
    from navforge.training.run_config import run_part  # noqa: PLC0415 (as above)

    figures = submission.run(run_part(config)).figures
    if "duration_s" not in figures:
        return None
    hours = (figures["duration_s"] / S_PER_H, *(bound / S_PER_H for bound in figures["duration_range_s"]))
    on_gpu = figures.get("measured_on") != "CPU"
    return Cost(
        hours=hours,
        source=f"steps measured on {figures.get('measured_on')}",
        gpus=config.nodes * config.devices if on_gpu else 0,
        memory_bytes=figures.get("host_bytes"),
    )
