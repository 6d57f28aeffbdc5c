"""Scene filters: the official YAML files that define a split, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from navforge.core.errors import DataError
from navforge.core.outside.text import read_yaml
from navforge.data.names import check_name
from navforge.data.official_filters import check_official

_IGNORED_KEYS = ("_target_", "_convert_", "defaults")
"""Hydra's own keys in the official files."""


@dataclass(frozen=True, kw_only=True)
class SceneFilter:
    """Which windows of frames become scenes; fields and meaning as NAVSIM's `SceneFilter`."""

    num_history_frames: int = 4
    """Past frames and the current one."""
    num_future_frames: int = 10
    frame_interval: int | None = None
    """Frames between the starts of two windows; None: windows do not overlap."""
    has_route: bool = True
    """Only windows whose current frame has a route."""
    max_scenes: int | None = None
    """Stop after this many scenes, logs in order of name."""
    log_names: tuple[str, ...] | None = None
    """Only these logs; None: all."""
    tokens: tuple[str, ...] | None = None
    """Only these scenes; None: all."""
    include_synthetic_scenes: bool = False
    """Second stage of two-stage benchmarks: rendered scenes that start where the first stage ends."""
    all_mapping: Mapping[Any, Any] | None = None
    synthetic_scene_tokens: tuple[str, ...] | None = None
    reactive_synthetic_initial_tokens: tuple[str, ...] | None = None
    non_reactive_synthetic_initial_tokens: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, low in (("num_history_frames", 1), ("num_future_frames", 0), ("frame_interval", 1)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise DataError(f"scene filter: {name} must be at least {low}, got {value}")
        if self.max_scenes is not None and self.max_scenes < 1:
            raise DataError(f"scene filter: max_scenes must be at least 1 or null, got {self.max_scenes}")

    @property
    def num_frames(self) -> int:
        """Frames of one window."""
        return self.num_history_frames + self.num_future_frames

    @property
    def interval(self) -> int:
        """Frames between the starts of two windows."""
        return self.frame_interval or self.num_frames

    @property
    def declared_scenes(self) -> int | None:
        """Number of distinct tokens the filter lists; None if it takes what the logs hold."""
        return None if self.tokens is None else len(set(self.tokens))

    @property
    def declared_logs(self) -> int | None:
        """Number of distinct logs the filter lists; None if it takes all."""
        return None if self.log_names is None else len(set(self.log_names))

    @property
    def synthetic_tokens(self) -> tuple[str, ...]:
        """Distinct tokens of second-stage scenes the filter asks for, sorted."""
        if not self.include_synthetic_scenes:
            return ()
        lists = (
            self.synthetic_scene_tokens,
            self.reactive_synthetic_initial_tokens,
            self.non_reactive_synthetic_initial_tokens,
        )
        return tuple(sorted({token for tokens in lists for token in tokens or ()}))


def read_filter(path: Path | str) -> SceneFilter:
    """Read a scene-filter YAML file.

    Raises:
        DataError: unreadable file, unknown key, a value of the wrong type, a name that cannot be one, a filter that
            admits nothing, or a file named like an official filter that holds something else; the message names the
            key.
    """
    path = Path(path)
    values = _mapping(path)
    known = {field.name: str(field.type) for field in fields(SceneFilter)}
    unknown = [str(name) for name in values if name not in known and name not in _IGNORED_KEYS]
    _refuse_relatives(values, path)
    if unknown:
        raise DataError(f"scene filter {path}: unknown key(s) {', '.join(unknown)}; known: {', '.join(known)}")
    checked = {name: _checked(name, values[name], known[name], path) for name in known if name in values}
    scene_filter = SceneFilter(**checked)
    if scene_filter.log_names == () or (scene_filter.tokens == () and not scene_filter.synthetic_tokens):
        name = "tokens" if scene_filter.tokens == () else "log_names"
        raise DataError(f"scene filter {path}: {name} is an empty list, which admits no scene; write null to take all")
    check_official(path, vars(scene_filter))
    return scene_filter


def _mapping(path: Path) -> dict[Any, Any]:
    values = read_yaml(path, "scene filter")
    if not isinstance(values, dict):
        raise DataError(f"scene filter {path} must hold keys and values, found {type(values).__name__}")
    return values


def _refuse_relatives(values: Mapping[Any, Any], path: Path) -> None:
    """Raise DataError for the devkit's other files that bear a split's name."""
    if "data_split" in values:
        defaults = values.get("defaults")
        groups = defaults if isinstance(defaults, list) else []
        names = [group["scene_filter"] for group in groups if isinstance(group, Mapping) and "scene_filter" in group]
        name = str(names[0]) if names else path.stem
        own = path.parent / "scene_filter" / f"{name}.yaml"
        raise DataError(
            f"{path} is a train_test_split file of the devkit (a folder of logs and the name of a scene filter), not "
            f"a scene filter; give split={own if own.is_file() else name}"
        )
    phases = [name for name in ("train_logs", "val_logs", "test_logs") if name in values]
    if phases:
        raise DataError(
            f"{path} lists the logs of training phases ({', '.join(phases)}) and is not a scene filter; copy a scene "
            "filter and give it one of these lists as log_names"
        )


def _checked(name: str, value: Any, kind: str, path: Path) -> Any:
    """The value in the field's type; YAML numbers and truth values must already be of that type."""
    if value is None and "None" in kind:
        return None
    if kind.startswith("tuple"):
        if isinstance(value, list):
            return _names(name, value, path)
        expected = "a list of text"
    elif kind.startswith("bool"):
        if isinstance(value, bool):
            return value
        expected = "true or false"
    elif kind.startswith("int"):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        expected = "a whole number"
    else:
        if isinstance(value, dict):
            return value
        expected = "a mapping"
    raise DataError(f"scene filter {path}: {name} must be {expected}, got {_short(value)}")


def _names(name: str, values: list[Any], path: Path) -> tuple[str, ...]:
    wrong = [index for index, value in enumerate(values) if not isinstance(value, str)]
    if wrong:
        written = read_yaml(path, "scene filter", as_written=True)[name][wrong[0]]
        more = f"; {len(wrong) - 1} more of the list are not text" if len(wrong) > 1 else ""
        raise DataError(f"scene filter {path}: {name}[{wrong[0]}] {_not_text(values[wrong[0]], written)}{more}")
    for index, value in enumerate(values):
        check_name(value, f"scene filter {path}: {name}[{index}]")
    return tuple(values)


def _not_text(value: Any, written: Any) -> str:
    """What stands in the place of a name, and the remedy."""
    if isinstance(value, list | dict):
        return f"is {_short(value)}, a {'list' if isinstance(value, list) else 'mapping'}: give one name"
    if value is None:
        return "is empty: delete the line, or give a name"
    kind = {bool: "truth value", int: "number", float: "number", bytes: "binary value"}.get(type(value), "date")
    return f"is the {kind} {_short_text(str(written))}: put it in quotes"


def _short(value: Any) -> str:
    return _short_text(repr(value))


def _short_text(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
