"""What other road users do while a plan is scored: replay the log, or react to the ego."""

from __future__ import annotations

from collections.abc import Iterable

from navforge.core.errors import ConfigError
from navforge.scoring.protocols import Protocol

LOG_REPLAY = "log_replay"
"""Everybody does what was logged, whatever the plan; the devkit's `traffic_agents=non_reactive`."""
REACTIVE = "reactive"
"""Vehicles react to the plan (`simulation.reactive`); the devkit's `traffic_agents=reactive`."""
TRAFFIC = (LOG_REPLAY, REACTIVE)


def check_traffic(traffic: str, protocols: Iterable[Protocol]) -> None:
    """Refuse an unknown traffic mode, or one that a protocol's benchmark does not have.

    Raises:
        ConfigError: names the value or the protocol.
    """
    if traffic not in TRAFFIC:
        raise ConfigError(f"traffic: expected one of {', '.join(TRAFFIC)}, got {traffic!r}")
    without = [rules.name for rules in protocols if not rules.reactive_traffic]
    if traffic == REACTIVE and without:
        raise ConfigError(
            f"traffic=reactive: the benchmark of protocol {', '.join(without)} has no reactive traffic; use "
            "traffic=log_replay, or a protocol of NAVSIM v2"
        )
