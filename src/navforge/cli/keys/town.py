"""Keys of `navforge town`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys.executors import ExecutorKeys
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.town.scales import CITIES, SCALES, Scale, in_cities


@dataclass(frozen=True, kw_only=True)
class Config(ExecutorKeys):
    """Keys of `navforge town`."""

    out: Path = key(help="world folder; afterwards OPENSCENE_DATA_ROOT=out and NUPLAN_MAPS_ROOT=out/maps")
    scale: str = key(
        "small", "size: tiny for tests, small for the demo, large for real training", choices=tuple(SCALES)
    )
    cities: tuple[str, ...] = key(
        (),
        f"cities in which every split is driven, each unlike the others: {', '.join(CITIES)}; []: the scale's own, all "
        "alike, with train in other cities than val and test",
    )
    seed: int = key(0, "another seed is another world", low=0, high=1_000_000)
    sensors: str = key("all", "what to render", choices=("all", "cameras", "none"))
    sensor_frames: str = key(
        "history",
        "frames that get sensor data: history: those in some scene's history or present, as NAVSIM's own downloads; "
        "current: only present frames, for planners that look at one frame; all: also what is only some future",
        choices=("all", "history", "current"),
    )
    image_width: int = key(480, "camera image width; official 1920", unit="px", low=64, high=3840)
    image_height: int = key(270, "camera image height; official 1080", unit="px", low=36, high=2160)

    def __post_init__(self) -> None:
        """Raise ConfigError for a city there is not, or that is named twice."""
        super().__post_init__()
        for number, city in enumerate(self.cities):
            if city not in CITIES or city in self.cities[:number]:
                raise ConfigError(f"cities: expected some of {', '.join(CITIES)}, each once, got {city!r}")

    @property
    def world(self) -> Scale:
        """Size and cities of the world."""
        scale = SCALES[self.scale]
        return in_cities(scale, self.cities) if self.cities else scale
