"""What is implausible in a log's frames, each kind just outside and just inside its bound."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.data.logs import Frame, read_log
from navforge.data.plausibility import Doubt, Finding, findings
from tests.data.tiny_log import raw_frame


def found(change=None, count: int = 6) -> list[Finding]:
    raw = [raw_frame(index) for index in range(count)]
    if change is not None:
        change(raw)
    return findings([Frame(frame, "some.pkl", index) for index, frame in enumerate(raw)])


def later(raw, first: int, microseconds: int) -> None:
    for frame in raw[first:]:
        frame["timestamp"] += microseconds


def test_a_steady_log_is_plausible(realdata):
    assert found() == []
    for path in (realdata / "navsim_logs" / "real").glob("*.pkl"):
        assert findings(read_log(path).frames) == []


@pytest.mark.parametrize(("shift", "doubted"), [(49_000, False), (51_000, True), (-49_000, False), (-51_000, True)])
def test_spacing_may_be_off_by_a_tenth(shift, doubted):
    assert [f.doubt for f in found(lambda raw: later(raw, 3, shift))] == [Doubt.SPACING] * doubted


def test_a_gap_is_named_and_concerns_the_windows_that_span_it():
    (gap,) = found(lambda raw: (later(raw, 3, 3_000_000), [shift(frame, 14.0) for frame in raw[3:]]))
    assert (gap.index, gap.text) == (3, "3.5 s between frames 2 and 3")
    assert gap.within(slice(2, 4)) and not gap.within(slice(3, 6)) and not gap.within(slice(0, 3))


@pytest.mark.parametrize(("factor", "gap", "unit"), [(1000, "500", "nanoseconds"), (0.001, "0.0005", "milliseconds")])
def test_times_in_another_unit_are_recognised(factor, gap, unit):
    first = found(lambda raw: [frame.update(timestamp=int(frame["timestamp"] * factor)) for frame in raw])[0]
    assert first.text == f"{gap} s between frames 0 and 1; times are microseconds, these look like {unit}"


def shift(frame, metres: float) -> None:
    frame["ego2global_translation"] = frame["ego2global_translation"] + [0.0, metres, 0.0]


@pytest.mark.parametrize(("metres", "doubted"), [(4.9, False), (5.1, True), (-4.9, False), (-9.1, True)])
def test_an_ego_that_jumps(metres, doubted):
    jumps = found(lambda raw: [shift(frame, metres) for frame in raw[4:]])
    assert [(f.doubt, f.index) for f in jumps] == [(Doubt.EGO_JUMP, 4)] * doubted


@pytest.mark.parametrize(("turn", "doubted"), [(0.95, False), (1.05, True)])
def test_an_ego_that_turns_at_once(turn, doubted):
    def change(raw):
        half = np.pi / 4 + turn / 2
        for frame in raw[2:]:
            frame["ego2global_rotation"] = np.array([np.cos(half), 0.0, 0.0, np.sin(half)])

    assert [(f.doubt, f.index) for f in found(change)] == [(Doubt.EGO_JUMP, 2)] * doubted


@pytest.mark.parametrize("column", [3, 4])
def test_boxes_of_zero_size(column):
    def change(raw):
        raw[1]["anns"]["gt_boxes"][0, column] = 0.0

    (box,) = found(change)
    assert (box.doubt, box.index, box.text) == (Doubt.EMPTY_BOX, 1, "1 of 1 boxes of frame 1")
    assert box.within(slice(1, 2)) and not box.within(slice(2, 5))


@pytest.mark.parametrize("key", ["data_path", "timestamp"])
def test_cameras_with_the_image_or_time_of_another_frame(key):
    def change(raw):
        for index in (1, 4):
            raw[index]["cams"]["CAM_F0"][key] = "same.jpg" if key == "data_path" else 17

    assert [(f.doubt, f.index) for f in found(change)] == [(Doubt.SAME_IMAGE, 1), (Doubt.SAME_IMAGE, 4)]


@pytest.mark.parametrize("value", [None, {}, "absent"])
def test_frames_without_annotations(value):
    def change(raw):
        raw[2]["anns"] = value
        if value == "absent":
            del raw[2]["anns"]

    assert [(f.doubt, f.index) for f in found(change)] == [(Doubt.UNANNOTATED, 2)]


@pytest.mark.parametrize("key", ["timestamp", "ego_dynamic_state", "ego2global_translation", "cams"])
def test_what_is_malformed_is_left_to_those_who_need_it(key):
    assert found(lambda raw: raw[2].update({key: None})) == []
