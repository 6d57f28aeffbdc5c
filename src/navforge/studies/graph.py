"""The graph of a study: what is to be made, from what, and where it lies. A study file unfolds into it; nothing runs.

A node is one call of a verb: a stage, a run, or an evaluation. Its folder carries the node's fingerprint: of the keys
it sets that decide what is made, and of the nodes it reads. So a changed key means another folder, two nodes that mean
the same are one, and a node is done where the file is that its verb writes last. No exit code and no list of jobs is
ever consulted. Keys at their default do not count, so that a later version with more keys finds what an earlier one
made; neither do keys of speed and place, nor where the data lie.

OUT/stages/NAME-KEY   OUT/runs/CELL-KEY   OUT/evaluations/SPLIT/CELL-KEY

What an earlier study (`take_over`) has finished under the same fingerprint, of the same data, is taken from its folder.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from navforge.core import config as configs
from navforge.core.config import did_you_mean
from navforge.core.errors import ConfigError
from navforge.core.files import fingerprint
from navforge.core.outside.text import read_yaml
from navforge.core.products import CACHE, EVALUATION, FEATURES, INPUTS, TEACHER, TOWN
from navforge.runs.folder import BEST, RunFolder
from navforge.studies.results import Comparison
from navforge.studies.study_file import Keys, Planned, Study, cell_name
from navforge.training.config import FREE

Configure = Callable[[str, Sequence[str]], Any]
"""Config of a verb from its words; raises ConfigError."""

STAGE, RUN, EVALUATION_KIND = "stage", "run", "evaluation"
TRAIN, PRETRAIN, EVALUATE = "train", "pretrain", "evaluate"
RUNS = (TRAIN, PRETRAIN)
"""Verbs that write a run folder."""
_MARKERS = {
    "town": TOWN.manifest,
    "cache": CACHE.manifest,
    "teach": TEACHER.manifest,
    "pack": INPUTS.manifest,
    "encode": FEATURES.manifest,
    EVALUATE: EVALUATION.manifest,
    **dict.fromkeys(RUNS, RunFolder(Path()).finished.name),
}
"""File that a verb writes last in its folder; `vocab` writes nothing else."""
_FREE = {
    *("out", "workers", "device", "executor", "tasks", "cpus", "cluster", "wait", "ray_address"),
    *("launch", "time_limit", "code", "preflight", "force", "allow_missing"),
    *(f"train.{name}" for name in FREE),
}
"""Keys that do not decide what is made."""
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_VOCABULARY = "vocabulary.npy"
_FRACTION = "labels.fraction"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One call of a verb."""

    name: str
    kind: str
    """`stage`, `run` or `evaluation`."""
    verb: str
    words: tuple[str, ...]
    """All of the verb's keys that are given, `out` among them."""
    out: Path
    marker: Path
    """File that is there just where the node is done."""
    needs: tuple[str, ...]
    """Names of the nodes it reads."""
    key: str
    """Fingerprint."""

    @property
    def done(self) -> bool:
        """Whether what it makes is there, whole."""
        return self.marker.is_file()


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """A combination of levels, and the nodes of its seeds."""

    name: str
    levels: Mapping[str, str]
    seeds: tuple[int, ...]
    runs: tuple[Node, ...]
    evaluations: Mapping[str, tuple[Node, ...]]
    """By split."""
    explicit: Mapping[str, Any]
    """Keys of its run that are not at their default, by dotted name; without the seed."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A study unfolded."""

    study: Study
    out: Path
    nodes: Mapping[str, Node]
    """By name, what is read before what reads it; runs seed by seed."""
    cells: tuple[GridCell, ...]
    floors: Mapping[str, Mapping[str, Node]]
    """By name and split."""
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]

    def takes_over(self, node: Node) -> bool:
        """Whether a node is done in the folder of an earlier study, which is left as it is."""
        return not node.out.is_relative_to(self.out)


def unfold(study: Study, out: Path, configure: Configure) -> Graph:
    """The graph of a study.

    Args:
        study: the file.
        out: folder of the study, absolute.
        configure: config of a verb from its words.

    Raises:
        ConfigError: a key or value that a verb refuses, an unknown stage, levels that mean the same run.
    """
    unfolding = _Unfolding(study, out, configure)
    if not study.combinations():
        raise ConfigError("leave_out: no combination of levels is left")
    _require_other_splits(study)
    floors = {name: {split: unfolding.floor(name, split) for split in study.evaluate} for name in study.floors}
    cells = tuple(unfolding.cell(levels) for levels in study.combinations())
    _require_distinct(cells)
    unused = [name for name in study.stages if name not in unfolding.used]
    warnings = [f"stages: nothing reads {', '.join(unused)}"] if unused else []
    nodes = {node.name: node for node in unfolding.stages.values()}
    nodes |= {node.name: node for by_split in floors.values() for node in by_split.values()}
    nodes |= {node.name: node for node in _seed_by_seed(cells)}
    return Graph(
        study=study,
        out=out,
        nodes=nodes,
        cells=cells,
        floors=floors,
        comparisons=expand(study, {cell.name for cell in cells}),
        warnings=(*warnings, *_warnings(study)),
    )


def expand(study: Study, cells: set[str]) -> tuple[Comparison, ...]:
    """Every planned comparison in each combination of levels of the factors that it does not name.

    Raises:
        ConfigError: cells of a comparison are left out everywhere.
    """
    comparisons: dict[tuple[str, str], Comparison] = {}
    for place, planned in enumerate(study.comparisons):
        pairs = [pair for pair in _pairs(study, planned) if set(pair[:2]) <= cells]
        if not pairs:
            raise ConfigError(f"comparisons[{place}]: leave_out leaves no cells to compare")
        for first, second, rest in pairs:
            sides = [
                cell_name({name: side[name] for name in planned.differs}) for side in (planned.first, planned.second)
            ]
            name = f"{sides[0]} - {sides[1]}" + (f" at {rest}" if rest else "")
            comparisons.setdefault(
                (first, second), Comparison(name=name, first=first, second=second, factor=" x ".join(planned.differs))
            )
    return tuple(comparisons.values())


def _pairs(study: Study, planned: Planned) -> Iterator[tuple[str, str, str]]:
    """Names of both cells, and the levels that they share."""
    for levels in study.combinations():
        if not planned.first.items() <= levels.items():
            continue
        if any(levels[name] not in allowed for name, allowed in planned.within.items()):
            continue
        shared = {name: level for name, level in levels.items() if name not in planned.differs}
        yield cell_name(levels), cell_name({**levels, **planned.second}), cell_name(shared)


def explicit_keys(config: Any, prefix: str = "") -> dict[str, Any]:
    """Keys of a config that decide what is made and are not at their class's default, by dotted name; plain values."""
    keys: dict[str, Any] = {}
    for one in dataclasses.fields(config):
        name, value = f"{prefix}{one.name}", getattr(config, one.name)
        if name in _FREE:
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            kind = getattr(value, "kind", None)
            keys |= {f"{name}.kind": kind} if isinstance(kind, str) else {}
            keys |= explicit_keys(value, f"{name}.")
            continue
        default = one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
        if value != default:
            keys[name] = configs.plain_value(value)
    return keys


@dataclass(kw_only=False)
class _Unfolding:
    """Makes nodes, each once."""

    study: Study
    out: Path
    configure: Configure
    stages: dict[str, Node] = field(default_factory=dict)
    """By fingerprint."""
    used: set[str] = field(default_factory=set)
    _path: tuple[str, ...] = ()
    """Stages that are being resolved."""

    def cell(self, levels: Mapping[str, str]) -> GridCell:
        """A cell with its nodes."""
        study, name = self.study, cell_name(levels)
        keys = dict(study.shared)
        for factor, level in levels.items():
            keys |= study.factors[factor][level]
        seeds = study.seeds_of(levels)
        runs: list[Node] = []
        evaluations: dict[str, list[Node]] = {split: [] for split in study.evaluate}
        explicit: dict[str, Any] = {}
        for seed in seeds:
            label = f"{name}, seed {seed}"
            folder = f"runs/{_slug(label)}"
            run, explicit = self.node(label, RUN, TRAIN, {**keys, "train.seed": str(seed)}, levels, folder)
            runs.append(run)
            for split, own in study.evaluate.items():
                scored = {"agent": keys.get("agent", ""), **own, "checkpoint": f"{run.out}/checkpoints/{BEST}"}
                folder = f"evaluations/{_slug(split)}/{_slug(label)}"
                node, _ = self.node(f"{label}, on {split}", EVALUATION_KIND, EVALUATE, scored, levels, folder, run)
                evaluations[split].append(node)
        explicit.pop("train.seed", None)
        return GridCell(
            name=name,
            levels=levels,
            seeds=seeds,
            runs=tuple(runs),
            evaluations={split: tuple(nodes) for split, nodes in evaluations.items()},
            explicit=explicit,
        )

    def floor(self, name: str, split: str) -> Node:
        """The evaluation of a floor."""
        keys = {**self.study.evaluate[split], **self.study.floors[name]}
        folder = f"evaluations/{_slug(split)}/{_slug(name)}"
        return self.node(f"{name}, on {split}", EVALUATION_KIND, EVALUATE, keys, {}, folder)[0]

    def node(
        self,
        name: str,
        kind: str,
        verb: str,
        keys: Keys,
        levels: Mapping[str, str],
        folder: str,
        run: Node | None = None,
    ) -> tuple[Node, dict[str, Any]]:
        """A node and what decides it.

        Args:
            name: of the node.
            kind: of the node.
            verb: that makes it.
            keys: of the verb, with references, without `out`.
            levels: of the cell it is of; empty for none.
            folder: below the study's, without the fingerprint.
            run: that it evaluates.
        """
        if verb != "town":
            keys = {**{f"data.{key}": value for key, value in self.study.data.items()}, **keys}
        needs = {} if run is None else {str(run.out): run}
        read = {ref: self.stage(name, ref, levels) for value in keys.values() for ref in _REFERENCE.findall(value)}
        needs |= {str(product(node)): node for node in read.values()}
        keys = {key: _REFERENCE.sub(lambda match: str(product(read[match[1]])), value) for key, value in keys.items()}
        end = f"/{_VOCABULARY}" if verb == "vocab" else ""
        try:
            config = self.configure(verb, [f"{key}={value}" for key, value in {**keys, "out": f"out{end}"}.items()])
        except ConfigError as error:
            raise ConfigError(f"{name} (navforge {verb}): {error}") from error
        explicit = explicit_keys(config)
        shown = _by_key(explicit, needs)
        decisive = {key: value for key, value in shown.items() if not key.startswith("data.") or value != explicit[key]}
        mark = fingerprint(verb, decisive)
        marker = _MARKERS.get(verb, _VOCABULARY)
        out = self._place(f"{folder}-{mark[:10]}", marker, config, decisive)
        words = tuple(f"{key}={value}" for key, value in {**keys, "out": f"{out}{end}"}.items())
        names = tuple(dict.fromkeys(node.name for node in needs.values()))
        node = Node(name=name, kind=kind, verb=verb, words=words, out=out, marker=out / marker, needs=names, key=mark)
        return node, shown

    def _place(self, folder: str, marker: str, config: Any, decisive: Collection[str]) -> Path:
        """Where a node lies: in the study, or where it is not done there, in an earlier study that has it done.

        Args:
            folder: below the study's, with the fingerprint.
            marker: name of the file that is written last.
            config: of the verb.
            decisive: keys that the fingerprint is of. Where data lie is not among them, unless a stage writes them: the
                earlier node has to be of the same.
        """
        own = self.out / folder
        if (own / marker).is_file():
            return own
        kind, mark = folder.partition("/")[0], folder.rpartition("-")[2]
        for study in self.study.take_over:
            for earlier in sorted((study / kind).glob(f"**/*-{mark}")):
                if (earlier / marker).is_file() and all(
                    value == recorded
                    for name, value, recorded in _places(config, earlier)
                    if f"data.{name}" not in decisive
                ):
                    return earlier
        return own

    def stage(self, reader: str, name: str, levels: Mapping[str, str]) -> Node:
        """The stage that a reference means in a cell."""
        spec = self.study.stages.get(name)
        if spec is None:
            raise ConfigError(f"{reader}: no stage is called {name!r}{did_you_mean(name, self.study.stages)}")
        if name in self._path:
            raise ConfigError(f"stages: {' reads '.join([*self._path, name])}; a stage cannot read itself")
        self.used.add(name)
        keys = dict(spec.keys)
        for factor in spec.per:
            if factor not in levels:
                raise ConfigError(f"{reader}: stage {name} is made per level of {factor}, and this has no level of it")
            keys |= self._known(spec.verb, {**self.study.factors[factor][levels[factor]]})
        self._path = (*self._path, name)
        own = [levels[factor] for factor in self.study.factors if factor in self._factors(name)]
        label = ", ".join([name, *own])
        node, _ = self.node(label, STAGE, spec.verb, keys, levels, f"stages/{_slug(label)}")
        self._path = self._path[:-1]
        return self.stages.setdefault(node.key, node)

    def _factors(self, name: str, readers: tuple[str, ...] = ()) -> set[str]:
        """Factors whose level decides what a stage makes."""
        spec = self.study.stages.get(name)
        if spec is None or name in readers:
            return set()
        read = {ref for value in spec.keys.values() for ref in _REFERENCE.findall(value)}
        return set(spec.per).union(*(self._factors(ref, (*readers, name)) for ref in read))

    def _known(self, verb: str, keys: Keys) -> Keys:
        """Keys of a level that a stage's verb has too: the planner, and where its inputs lie."""
        same = ("agent", "planner.", "store", "split", "val_split") if verb in ("pack", "encode") else ("agent",)
        return {key: value for key, value in keys.items() if key.startswith(same)}


def needs_slurm(verb: str, words: Sequence[str]) -> bool:
    """Whether it is a run on several machines, which Slurm alone can start."""
    return verb in RUNS and any(word.startswith("nodes=") and word != "nodes=1" for word in words)


def _places(config: Any, folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """Name, path, and path in the config that a finished node's folder records, of all places of data."""
    recorded = next((read_yaml(path, "config") for path in folder.glob("*.config.yaml")), {})
    for name, value in configs.plain_value(getattr(config, "data", {})).items():
        yield name, value, recorded.get("data", {}).get(name)


def product(node: Node) -> Path:
    """What a reference to a node stands for: the file of a vocabulary, else the folder."""
    return node.marker if node.verb == "vocab" else node.out


def _by_key(explicit: Mapping[str, Any], needs: Mapping[str, Node]) -> dict[str, Any]:
    """Values in which paths of nodes are replaced by their fingerprints, wherever the study lies."""

    def shown(value: Any) -> Any:
        if isinstance(value, list):
            return [shown(item) for item in value]
        if isinstance(value, str):
            for path in sorted(needs, key=len, reverse=True):
                value = value.replace(path, f"@{needs[path].key}")
        return value

    return {name: shown(value) for name, value in explicit.items()}


def _seed_by_seed(cells: Sequence[GridCell]) -> Iterator[Node]:
    """Runs, each followed by its evaluations: all first seeds, all second ones, and so on."""
    for place in range(max(len(cell.seeds) for cell in cells)):
        for cell in cells:
            if place < len(cell.seeds):
                yield cell.runs[place]
                yield from (nodes[place] for nodes in cell.evaluations.values())


def _warnings(study: Study) -> Iterator[str]:
    few = [cell_name(levels) for levels in study.combinations() if len(study.seeds_of(levels)) < 2]
    if few:
        yield f"seeds: {len(few)} cells have one seed; every verdict about them will be: one seed"
    for name, levels in study.factors.items():
        if len(levels) == 1:
            yield f"factors.{name}: one level, so nothing is compared over it"
            continue
        keys = {key for level in levels.values() for key in level}
        same = [key for key in sorted(keys) if len({level.get(key) for level in levels.values()}) == 1]
        if same:
            yield f"factors.{name}: {', '.join(same)} is the same in every level; it belongs in shared"
    yield from _unequal_updates(study)
    if not study.comparisons:
        yield "comparisons: none planned; the report will have scores and no verdict"
    for name, keys in study.evaluate.items():
        if keys.get("split") == study.shared.get("val_split"):
            yield (
                f"evaluate.{name}: split {keys['split']} chooses the best checkpoint of each run (val_split), so its "
                "scores are too high"
            )


def _unequal_updates(study: Study) -> Iterator[str]:
    """Factors whose levels are label fractions that train for equally many passes."""
    for name, levels in study.factors.items():
        fractions = {float(level.get(_FRACTION, 1)) for level in levels.values()}
        keys = {key for level in levels.values() for key in level} | study.shared.keys()
        if len(fractions) > 1 and "train.updates" not in keys:
            yield (
                f"factors.{name}: its levels train for equally many epochs, so fewer labels also mean fewer updates, "
                "and what is shown of labels is mixed with the length of training; train.updates=N in shared gives all "
                "levels equally many"
            )


def _require_other_splits(study: Study) -> None:
    """Raise ConfigError where a split is trained on and scored."""
    trained = {keys.get("split") for levels in study.factors.values() for keys in levels.values()} - {None}
    trained.add(study.shared.get("split"))
    for name, keys in study.evaluate.items():
        if keys.get("split") in trained:
            raise ConfigError(f"evaluate.{name}.split: {keys['split']} is trained on; give another split")


def _require_distinct(cells: Sequence[GridCell]) -> None:
    """Raise ConfigError where two cells mean the same run, naming the levels that do not differ."""
    seen: dict[str, GridCell] = {}
    for cell in cells:
        for seed, run in zip(cell.seeds, cell.runs, strict=True):
            other = seen.setdefault(run.key, cell)
            if other is not cell:
                pairs = [
                    f"{other.levels[factor]!r} and {level!r} of factor {factor}"
                    for factor, level in cell.levels.items()
                    if other.levels[factor] != level
                ]
                raise ConfigError(
                    f"factors: {other.name} and {cell.name} are the same run at seed {seed}: nothing that is trained "
                    f"differs between levels {'; '.join(pairs)}; change their keys, or give one of them other seeds"
                )


def _slug(name: str) -> str:
    """A readable folder name."""
    return re.sub(r"[^\w.=+-]+", "_", name.replace("%", "pc")).strip("_")
