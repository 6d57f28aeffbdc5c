"""Reports: what refuses, what is accepted."""

from __future__ import annotations

import pytest

from navforge.preflight.finding import PreflightError, Report, ok, refused, warning

REPORT = Report(
    (ok("a", "fine"), refused("b", "too much", "less"), warning("c", "who knows"), refused("d", "no", "yes"))
)


def test_every_refusal_is_said_with_its_remedy() -> None:
    with pytest.raises(PreflightError, match=r"(?s)b: too much; less.*d: no; yes"):
        REPORT.require()
    Report((ok("a", "fine"), warning("c", "who knows"))).require()


def test_accepted_refusals_become_warnings_that_say_so() -> None:
    report = REPORT.accept(["b"])
    assert [finding.level for finding in report.findings] == ["ok", "warning", "warning", "refused"]
    assert report.findings[1].message == "accepted by force=b: too much" and report.findings[1].remedy == "less"
    assert [finding.check for finding in report.refused] == ["d"]


def test_plain_values() -> None:
    values = REPORT.to_dict()
    assert values["refused"] is True and values["findings"][1]["remedy"] == "less"
