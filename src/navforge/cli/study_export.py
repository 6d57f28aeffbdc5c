"""`navforge study export FILE`: one archive that another person can re-analyse, without weights."""

from __future__ import annotations

from navforge.cli.keys.study_export import Config
from navforge.cli.study_files import read_graph
from navforge.core.screen import say
from navforge.core.sizes import write_size
from navforge.studies.archive import SUFFIX, write_archive
from navforge.studies.state import results
from navforge.studies.study_file import study_path


def run(config: Config) -> None:
    """Write the archive."""
    graph = read_graph(config.study, config.out)
    path = config.archive or graph.out / f"{config.study.stem}{SUFFIX}"
    found = results(graph)
    count = write_archive(path, found, (graph.out, *graph.study.take_over), study_path(config.study))
    missing = sum(len(cell.missing) for cell in found.cells)
    say(f"{path}: {count} files, {write_size(path.stat().st_size)}; {missing} runs and evaluations are missing")
    say(f"navforge study report {path} analyses it anywhere")
