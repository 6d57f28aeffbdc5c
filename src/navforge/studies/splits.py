"""What is known of the splits of a study without reading logs: their size, and whether two of them overlap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import ConfigError, NavforgeError
from navforge.data.filters import read_filter
from navforge.data.official_filters import official_size
from navforge.data.paths import DataConfig
from navforge.studies.graph import Configure, Graph


@dataclass(frozen=True, kw_only=True)
class SplitSize:
    """Size of a split, as far as its index says."""

    scenes: int | None
    logs: int | None


def split_size(split: str, data: DataConfig) -> SplitSize:
    """Scenes and logs that a scene filter names, official ones also without a file, or logs of a folder.

    Nothing is read from logs.

    Args:
        split: as verbs take it.
        data: where filters and logs are.
    """
    scenes, logs = split_names(split, data)
    if scenes is None and logs is None and (official := official_size(split.partition("@")[0])) is not None:
        return SplitSize(scenes=official[0], logs=official[1])
    return SplitSize(
        scenes=None if scenes is None else len(scenes), logs=None if logs is None or not logs else len(logs)
    )


def split_names(split: str, data: DataConfig) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """Tokens and names of logs of a split, as far as its filter or folder says; None where it does not."""
    name = split.partition("@")[0]
    try:
        filters = [Path(name)] if name.endswith((".yaml", ".yml")) else data.scene_filters(name)
        if filters:
            found = read_filter(filters[0])
            named = (found.tokens, found.log_names)
            scenes, logs = (None if names is None else frozenset(names) for names in named)
            return scenes, logs
    except NavforgeError:
        return None, None
    folder = None if data.logs is None else data.logs / name
    if folder is None or not folder.is_dir():
        return None, None
    return None, frozenset(path.stem for path in folder.glob("*.pkl"))


def require_no_overlap(trained: str, scored: str, data: DataConfig) -> None:
    """Raise ConfigError where a split that is scored has scenes of one that is trained on, as far as indices tell.

    Parts of a split at locations (`NAME@LOCATION`) are not looked into.
    """
    if "@" in trained or "@" in scored:
        return
    for what, first, second in zip(
        ("scenes", "logs"), split_names(trained, data), split_names(scored, data), strict=True
    ):
        if first is None or second is None:
            continue
        if shared := sorted(first & second):
            raise ConfigError(
                f"evaluate: {len(shared)} of {len(second)} {what} of {scored} are in {trained} too, which is trained "
                f"on ({shared[0]} for one); give another split"
            )
        return


def require_no_overlap_in(graph: Graph, configure: Configure) -> None:
    """Raise ConfigError where a cell is trained on what it is scored on, as far as indices of splits tell."""
    pairs = {}
    for cell in graph.cells:
        run = configure(cell.runs[0].verb, cell.runs[0].words)
        for nodes in cell.evaluations.values():
            scored = configure(nodes[0].verb, nodes[0].words)
            pairs[run.split, scored.split] = scored.data
    for (trained, scored), data in pairs.items():
        require_no_overlap(trained, scored, data)
