"""Failures in words."""

from __future__ import annotations

from navforge.evaluation.failures import Failure, ScenesFailedError


def failure(scene: int, error: str) -> Failure:
    return Failure(f"{scene:016x}", f"2021.05.12_veh-{scene % 2}", error, "")


def test_failures_of_one_cause_share_a_line_whatever_their_files() -> None:
    missing = "DataError: camera image sensors/log/CAM_F0/{:08x}.jpg (scene {:016x}) is missing; download it"
    failures = [failure(scene, missing.format(scene * 7, scene)) for scene in range(40)]
    failures += [failure(50, "DataError: frame 3: broken pose"), failure(51, "DataError: frame 12: broken pose")]
    failures += [failure(60, "DataError: damaged")]
    lines = str(ScenesFailedError("agent x", failures, 99)).splitlines()
    assert lines[0] == "agent x: 43 of 99 scenes failed; no score is published"
    assert len(lines) == 4
    assert lines[1].startswith(f"  40 scenes of 2 logs, {0:016x} (2021.05.12_veh-0), {2:016x} (2021.05.12_veh-0), ")
    assert " and 37 more: such as DataError: camera image sensors/log/CAM_F0/00000000.jpg" in lines[1]
    assert str(failures[:40]).count("download it") == 40
    assert "\n".join(lines).count("download it") == 1
    assert lines[2].startswith("  2 scenes of 2 logs, ")
    assert lines[3] == f"  {60:016x} (2021.05.12_veh-0): DataError: damaged"


def test_different_cameras_are_different_causes() -> None:
    errors = [f"DataError: no camera CAM_{name}" for name in ("F0", "L0", "F0")]
    lines = str(ScenesFailedError("x", [failure(i, error) for i, error in enumerate(errors)], 3)).splitlines()
    assert [line.split(":")[-1] for line in lines[1:]] == [" no camera CAM_F0", " no camera CAM_L0"]


def test_long_lists_of_causes_are_cut() -> None:
    errors = ["Error: " + "x" * (i + 1) for i in range(14)]
    lines = str(ScenesFailedError("x", [failure(i, error) for i, error in enumerate(errors)], 20)).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  ... and 4 more causes"
