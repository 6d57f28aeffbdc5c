"""The list of checks against the documentation and against context that refuse nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from navforge.preflight.checks import CHECKS, NAMES, WHILE_MEASURING
from navforge.preflight.context import PreflightContext
from navforge.preflight.finding import REFUSED
from navforge.preflight.machine import this_machine
from navforge.training.run_config import RunConfig

PAGE = Path(__file__).parents[2] / "docs" / "preflight.md"


def test_the_page_has_every_check_in_order_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (x?) ?\|", PAGE.read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == list(NAMES)
    on_node = {check.name for check in CHECKS if check.on_node}
    assert {name for name, mark in rows if mark} == on_node


def test_every_check_says_what_it_refuses() -> None:
    assert all(check.refuses for check in CHECKS) and all(text for _, text in WHILE_MEASURING)
    assert len(set(NAMES)) == len(CHECKS) + len(WHILE_MEASURING)


def test_findings_carry_the_name_of_their_check(make_config: Callable[..., RunConfig]) -> None:
    context = PreflightContext(config=make_config(), machine=this_machine(), visible_gpus=0)
    for check in CHECKS:
        found = list(check.find(context))
        assert {finding.check for finding in found} <= {check.name}
        assert not [finding for finding in found if finding.level == REFUSED], check.name
