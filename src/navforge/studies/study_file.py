"""The study file: what is compared, over which factors and seeds, on what, planned before anything runs.

    name, question      what the study is called and asks
    data                keys of `data` that all stages, runs and evaluations have
    stages              what runs read, by name: a verb and its keys; `per: [FACTOR]` makes one for each level
    shared              keys of `navforge train` that all runs have
    factors             by name: levels, each with the keys it sets; `seeds` of a level stand for those of the study
    seeds               one run of every cell each
    leave_out           combinations of levels that are not run
    evaluate            by name: keys of `navforge evaluate`
    comparisons         pairs of levels; over levels of factors that a pair does not name it is made in each
    floors              by name: keys of `navforge evaluate` for an agent to compare with
    take_over           folders of earlier studies: what they have finished counts where it is the same
    launch, assumed     see `Launch`, `Assumed`

`${NAME}` in a value is what the stage NAME writes; a stage so named is made before what names it. Scalars are taken as
they are written. Pure: nothing here reads another file or knows the verbs' keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core import config as configs
from navforge.core.config import did_you_mean, key
from navforge.core.errors import ConfigError
from navforge.core.outside.text import read_yaml
from navforge.slurm.profile import CLUSTER_HELP

Keys = Mapping[str, str]
"""Dotted keys of a verb with their values as words."""

KINDS = {
    "name": str,
    "question": str,
    "data": dict,
    "stages": dict,
    "shared": dict,
    "factors": dict,
    "seeds": list,
    "leave_out": list,
    "evaluate": dict,
    "comparisons": list,
    "floors": dict,
    "take_over": list,
    "launch": dict,
    "assumed": dict,
}
"""Keys of a study file with their kinds."""
REQUIRED = ("name", "question", "shared", "factors", "seeds", "evaluate")
STAGE_VERBS = ("town", "cache", "vocab", "teach", "pack", "pretrain", "encode")
OWN_KEYS = ("out", "train.seed", "seed", "launch", "cluster", "checkpoint")
SEEDS, VERB, PER, WITHIN, FIRST, SECOND, FACTOR = "seeds", "verb", "per", "within", "first", "second", "factor"
_SAID = {str: "a text", dict: "a mapping", list: "a list"}


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How stages, runs and evaluations work; all but `at_once` is for Slurm."""

    at_once: int | None = key(
        None, "runs at once; auto: 1 on this machine, with Slurm as many as it takes", low=1, none="auto"
    )
    cluster: str | None = key(None, CLUSTER_HELP)
    runs_per_job: int = key(1, "runs that a job trains side by side, with their evaluations", low=1)
    cpus: int | None = key(None, "CPUs of a job; auto: the share of a node of its ranks", low=1, none="auto")
    gpus: int | None = key(None, "GPUs of a job of runs; auto: one per rank that trains on a GPU", low=1, none="auto")
    time_limit: str | None = key(None, "time limit of a job; auto: the profile's", none="auto")


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What the plan assumes before anything has run; the defaults are those of NAVSIM runs (docs/statistics.md)."""

    seed_sd: float = key(0.65, "standard deviation of a planner's mean score over seeds", unit="points", low=0.0)
    log_sd: float = key(5.4, "standard deviation over logs of a difference's log means", unit="points", low=0.0)
    logs: int | None = key(None, "logs of an evaluation; auto: as its split says", low=2, none="auto")
    samples_per_s: tuple[float, ...] = key(
        (), "scenes a run trains on in a second: least and most; empty: measured, or unknown"
    )

    def __post_init__(self) -> None:
        """Raise ConfigError for a speed that is no range."""
        speeds = self.samples_per_s
        if speeds and (len(speeds) != 2 or not 0 < speeds[0] <= speeds[1]):
            raise ConfigError(f"assumed.samples_per_s: expected [least, most] above 0, got {list(speeds)}")


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """A stage as the file has it."""

    verb: str
    keys: Keys
    per: tuple[str, ...]
    """Factors for each level of which there is one, with the keys of the level that its verb knows."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A comparison as the file has it, before it is made in each level of other factors."""

    first: Mapping[str, str]
    second: Mapping[str, str]
    differs: tuple[str, ...]
    """Factors in which the two differ."""
    within: Mapping[str, tuple[str, ...]]
    """Levels of other factors in which it is made; those of factors that are not named: all."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file."""

    name: str
    question: str
    data: Keys
    stages: Mapping[str, StageSpec]
    shared: Keys
    factors: Mapping[str, Mapping[str, Keys]]
    """Keys by level by factor."""
    seeds: tuple[int, ...]
    level_seeds: Mapping[tuple[str, str], tuple[int, ...]]
    """Of levels that have their own, by factor and level."""
    leave_out: tuple[Mapping[str, str], ...]
    evaluate: Mapping[str, Keys]
    comparisons: tuple[Planned, ...]
    floors: Mapping[str, Keys]
    take_over: tuple[Path, ...]
    launch: Launch
    assumed: Assumed

    def combinations(self) -> list[dict[str, str]]:
        """Level of each factor, of every cell, the last factor varying fastest."""
        every = itertools.product(*([(name, level) for level in levels] for name, levels in self.factors.items()))
        grid = [dict(pairs) for pairs in every]
        return [levels for levels in grid if not any(out.items() <= levels.items() for out in self.leave_out)]

    def seeds_of(self, levels: Mapping[str, str]) -> tuple[int, ...]:
        """Seeds of a cell."""
        own = [self.level_seeds[pair] for pair in levels.items() if pair in self.level_seeds]
        if len(own) > 1:
            raise ConfigError(f"factors: several levels of {cell_name(levels)} have seeds; one may")
        return own[0] if own else self.seeds


def cell_name(levels: Mapping[str, str]) -> str:
    """`frozen, 10 %`."""
    return ", ".join(levels.values())


FILES = Path(__file__).with_name("files")
SHIPPED = {path.relative_to(FILES).with_suffix("").as_posix(): path for path in sorted(FILES.rglob("*.yaml"))}
"""Study files of navforge by name."""


def read_study(source: Path) -> Study:
    """Read and check a study file, or one of `SHIPPED` by its name.

    Raises:
        ConfigError: no such file, not YAML, an unknown or missing key, or a value that cannot be; says where.
    """
    path = study_path(source)
    missing = f"docs/studies.md says how to write one; those of navforge are {', '.join(SHIPPED)}"
    values = read_yaml(path, "study file", missing=missing, error=ConfigError, as_written=True)
    try:
        return parse_study(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def study_path(source: Path) -> Path:
    """The file of a study that may be one of `SHIPPED`."""
    return SHIPPED.get(source.as_posix(), source)


def parse_study(values: Any) -> Study:
    """A study from the plain values of its file, scalars being texts; see `read_study`."""
    top = _mapping("the study", values, KINDS)
    for name, value in top.items():
        if not isinstance(value, KINDS[name]):
            raise ConfigError(f"{name}: expected {_SAID[KINDS[name]]}, got {value!r}")
    if missing := [name for name in REQUIRED if not top.get(name)]:
        raise ConfigError(f"missing: {', '.join(missing)}")
    factors, level_seeds = _factors(top["factors"])
    return Study(
        name=top["name"],
        question=top["question"],
        data=_keys("data", top.get("data", {})),
        stages={name: _stage(name, value, factors) for name, value in top.get("stages", {}).items()},
        shared=_run_keys("shared", top["shared"]),
        factors=factors,
        seeds=_seeds("seeds", top["seeds"]),
        level_seeds=level_seeds,
        leave_out=tuple(_levels(f"leave_out[{i}]", one, factors) for i, one in enumerate(top.get("leave_out", ()))),
        evaluate={name: _run_keys(f"evaluate.{name}", value) for name, value in top["evaluate"].items()},
        comparisons=tuple(
            _comparison(f"comparisons[{i}]", one, factors) for i, one in enumerate(top.get("comparisons", ()))
        ),
        floors={name: _run_keys(f"floors.{name}", value) for name, value in top.get("floors", {}).items()},
        take_over=_folders("take_over", top.get("take_over", [])),
        launch=_config("launch", Launch, top.get("launch", {})),
        assumed=_config("assumed", Assumed, top.get("assumed", {})),
    )


def _factors(values: dict[str, Any]) -> tuple[dict[str, dict[str, Keys]], dict[tuple[str, str], tuple[int, ...]]]:
    factors: dict[str, dict[str, Keys]] = {}
    seeds: dict[tuple[str, str], tuple[int, ...]] = {}
    setters: dict[str, str] = {}
    for name, levels in values.items():
        if not isinstance(levels, dict) or not levels:
            raise ConfigError(f"factors.{name}: expected levels, each with the keys it sets, got {levels!r}")
        factors[name] = {}
        for level, keys in levels.items():
            where = f"factors.{name}.{level}"
            own = dict(_mapping(where, keys or {}))
            if SEEDS in own:
                seeds[name, level] = _seeds(f"{where}.{SEEDS}", own.pop(SEEDS))
            factors[name][level] = _run_keys(where, own)
        for key_name in sorted({key_name for keys in factors[name].values() for key_name in keys}):
            if (other := setters.setdefault(key_name, name)) != name:
                raise ConfigError(
                    f"factors: {other} and {name} both set {key_name}, so one would undo the other; a key belongs to "
                    "one factor"
                )
    return factors, seeds


def _stage(name: str, value: Any, factors: Mapping[str, Any]) -> StageSpec:
    where = f"stages.{name}"
    keys = dict(_mapping(where, value))
    verb = keys.pop(VERB, None)
    if verb not in STAGE_VERBS:
        hint = did_you_mean(verb, STAGE_VERBS) if isinstance(verb, str) else "."
        raise ConfigError(f"{where}.verb: expected one of {', '.join(STAGE_VERBS)}, got {verb!r}{hint}")
    per = keys.pop(PER, [])
    if not isinstance(per, list) or not set(per) <= set(factors):
        raise ConfigError(f"{where}.per: expected a list of factors ({', '.join(factors)}), got {per!r}")
    words = _keys(where, keys)
    if "out" in words:
        raise ConfigError(f"{where}.out: the study names its folders itself; drop it")
    return StageSpec(verb=verb, keys=words, per=tuple(per))


def _comparison(where: str, value: Any, factors: Mapping[str, Mapping[str, Any]]) -> Planned:
    own = _mapping(where, value, (FIRST, SECOND, WITHIN, FACTOR))
    if missing := [name for name in (FIRST, SECOND) if name not in own]:
        raise ConfigError(f"{where}: missing {' and '.join(missing)}: levels by factor")
    first, second = (_levels(f"{where}.{name}", own[name], factors) for name in (FIRST, SECOND))
    if set(first) != set(second):
        alone = ", ".join(sorted(set(first) ^ set(second)))
        raise ConfigError(f"{where}: only one side has a level of {alone}; give it to both, or to neither")
    differs = tuple(name for name in first if first[name] != second[name])
    named = own.get(FACTOR, [])
    named = [named] if isinstance(named, str) else list(named)
    if not differs:
        raise ConfigError(f"{where}: both sides are {cell_name(first)}; give two levels of a factor")
    if (named and set(named) != set(differs)) or (not named and len(differs) > 1):
        asked = f"which is not {', '.join(named)}" if named else "so the difference has several possible causes"
        raise ConfigError(
            f"{where}: {cell_name(first)} and {cell_name(second)} differ in {' and '.join(differs)}, {asked}; compare "
            f"over one factor, or say factor: [{', '.join(differs)}]"
        )
    within = {}
    for name, levels in _mapping(f"{where}.{WITHIN}", own.get(WITHIN, {}), set(factors) - set(first)).items():
        listed = [levels] if isinstance(levels, str) else list(levels)
        within[name] = tuple(_level(f"{where}.{WITHIN}", name, level, factors) for level in listed)
    return Planned(first=first, second=second, differs=differs, within=within)


def _levels(where: str, value: Any, factors: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: _level(where, name, level, factors) for name, level in _mapping(where, value, factors).items()}


def _level(where: str, factor: str, level: Any, factors: Mapping[str, Mapping[str, Any]]) -> str:
    if level not in factors[factor]:
        hint = did_you_mean(str(level), factors[factor])
        raise ConfigError(f"{where}: factor {factor} has no level {level!r}{hint} Levels: {', '.join(factors[factor])}")
    return level


def _run_keys(where: str, value: Any) -> Keys:
    """Keys of a run or an evaluation, without those that the study gives."""
    words = _keys(where, value)
    if taken := [name for name in OWN_KEYS if name in words]:
        raise ConfigError(f"{where}.{taken[0]}: the study sets this itself (seeds, launch, folders); drop it")
    return words


def _keys(where: str, value: Any) -> Keys:
    words: dict[str, str] = {}
    for word in configs.to_words(_mapping(where, value)):
        name, _, text = word.partition("=")
        if name in words:
            raise ConfigError(f"{where}: {name} is given twice; give it once")
        words[name] = text
    return words


def _seeds(where: str, value: Any) -> tuple[int, ...]:
    texts = value if isinstance(value, list) else []
    if not texts or not all(isinstance(text, str) and text.isdigit() for text in texts):
        raise ConfigError(f"{where}: expected a list of numbers from 0, got {value!r}")
    seeds = tuple(map(int, texts))
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{where}: {list(seeds)} holds a seed twice; each is one run")
    return seeds


def _folders(where: str, values: list[Any]) -> tuple[Path, ...]:
    """Absolute folders, which are there."""
    folders = tuple(Path(str(value)).expanduser().absolute() for value in values)
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise ConfigError(
            f"{where}: no such folder: {', '.join(missing)}; name folders of earlier studies (their out=)"
        )
    return folders


def _config(where: str, cls: type[Any], value: Any) -> Any:
    try:
        return configs.from_dict(cls, dict(_mapping(where, value)))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _mapping(where: str, value: Any, known: Collection[str] | None = None) -> Mapping[str, Any]:
    """A mapping with known keys; names the nearest one to an unknown key."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a mapping, got {value!r}")
    for name in value:
        if known is not None and name not in known:
            raise ConfigError(
                f"{where}: unknown key {name!r}{did_you_mean(name, known)} Valid keys: {', '.join(known)}"
            )
    return value
