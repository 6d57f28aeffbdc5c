"""What the preflight says of the splits it opens."""

from __future__ import annotations

from navforge.data.filters import SceneFilter
from navforge.data.plausibility import Doubt
from navforge.data.splits import Split
from navforge.preflight.files import _splits
from navforge.preflight.finding import OK, WARNING


def test_implausible_scenes_of_a_split_are_a_warning_with_its_remedy():
    logs = {"log": ("a", "b")}
    split = Split("s", SceneFilter(), logs, {"log": "s"}, doubts={Doubt.SPACING: {"b": "log log: 1 s between 1 and 2"}})
    findings = list(_splits(split, None))
    assert [finding.level for finding in findings] == [OK, WARNING]
    assert "1 of 2 scenes of split s have frames that are not 0.5 s apart, such as b" in findings[1].message
    assert "navforge data check split=s" in findings[1].remedy
