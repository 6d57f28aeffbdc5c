"""Evaluation protocols by name: which rules a score was computed under."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.core.errors import ConfigError
from navforge.metric_cache.devkit import Devkit
from navforge.scoring.metrics import EXTENDED_COMFORT, METRICS_V1, METRICS_V2, Metric

TTC_LAST_STEP = {Devkit.V1: 40, Devkit.V2: 31}
"""Last step (0.1 s each) from which time to collision looks ahead: v1.1 knows objects for 5 s and looks from every step
of the plan; v2 stops where 0.9 s ahead leaves its 4 s. Source: `PDMScorer._calculate_ttc`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """The rule set of one published score."""

    name: str
    title: str
    """What the score is called, with the release of the devkit that computes it."""
    devkit: Devkit
    """Release whose scorer, objects and PDM-Closed reference are used."""
    metrics: tuple[Metric, ...]
    """Sub-scores of a single scene, in the devkit's column order."""
    two_frame: Metric | None
    """Extended comfort, which compares the plans of consecutive scenes; None where the protocol has none."""
    human_filter: bool
    """Whether the benchmark forgives what the human driver also fails."""
    filter_enters_score: bool
    """False before navsim commit 359c7f7: filtered sub-scores were reported, but the score used the unfiltered ones."""

    @property
    def multiplicative(self) -> tuple[Metric, ...]:
        """Sub-scores that gate the score."""
        return tuple(metric for metric in self.metrics if metric.kind == "multiplicative")

    @property
    def weighted(self) -> tuple[Metric, ...]:
        """Sub-scores of the weighted mean, without extended comfort."""
        return tuple(metric for metric in self.metrics if metric.kind == "weighted")

    @property
    def reactive_traffic(self) -> bool:
        """Whether the benchmark can be scored with reactive traffic."""
        return self.devkit is Devkit.V2

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of `metrics`."""
        return tuple(metric.name for metric in self.metrics)


PROTOCOLS = (
    Protocol(
        name="pdms_v1",
        title="PDMS (NAVSIM v1.1)",
        devkit=Devkit.V1,
        metrics=METRICS_V1,
        two_frame=None,
        human_filter=False,
        filter_enters_score=False,
    ),
    Protocol(
        name="epdms_v2",
        title="EPDMS (NAVSIM v2.2, one stage, after the human-filter fix)",
        devkit=Devkit.V2,
        metrics=METRICS_V2,
        two_frame=EXTENDED_COMFORT,
        human_filter=True,
        filter_enters_score=True,
    ),
    Protocol(
        name="epdms_v2_before_fix",
        title="EPDMS (NAVSIM v2, one stage, before the human-filter fix)",
        devkit=Devkit.V2,
        metrics=METRICS_V2,
        two_frame=EXTENDED_COMFORT,
        human_filter=True,
        filter_enters_score=False,
    ),
)


def protocol(name: Protocol | str) -> Protocol:
    """The protocol of this name; a protocol itself is given back.

    Raises:
        ConfigError: no protocol has it.
    """
    if isinstance(name, Protocol):
        return name
    for known in PROTOCOLS:
        if known.name == name:
            return known
    raise ConfigError(f"no protocol is called {name!r}; known: {', '.join(known.name for known in PROTOCOLS)}")


def parse_protocols(text: str) -> tuple[str, ...]:
    """`epdms_v2`, `pdms_v1,epdms_v2` or `[pdms_v1,epdms_v2]` as checked names.

    Raises:
        ConfigError: an unknown or repeated name, or none.
    """
    names = tuple(name.strip() for name in text.strip().strip("[]()").split(",") if name.strip())
    known = [one.name for one in PROTOCOLS]
    if not names or len(set(names)) != len(names) or not set(names) <= set(known):
        raise ConfigError(f"protocol: expected one or several of {', '.join(known)}, each once, got {text!r}")
    return names
