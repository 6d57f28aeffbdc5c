"""Ways through a junction are granted so that they never cross."""

from __future__ import annotations

from navforge.town.right_of_way import RightOfWay

CROSSING = {1: frozenset({2}), 2: frozenset({1, 3}), 3: frozenset({2})}
JUNCTION = 7


def ask(way: RightOfWay, vehicle: int, connector: int, *, may_enter: bool = True, at_line: bool = True) -> bool:
    return way.ask(vehicle, JUNCTION, connector, may_enter=may_enter, at_line=at_line)


def test_crossing_ways_wait_for_each_other_and_others_do_not() -> None:
    way = RightOfWay(CROSSING)
    assert ask(way, 10, 1)
    assert ask(way, 12, 1), "the same way is no crossing"
    assert not ask(way, 11, 2)
    way.release(10, JUNCTION)
    assert not ask(way, 11, 2), "12 is still on it"
    way.release(12, JUNCTION)
    assert ask(way, 11, 2) and way.holds(11, JUNCTION)


def test_first_come_first_served_among_those_at_the_line() -> None:
    way = RightOfWay(CROSSING)
    assert ask(way, 10, 1)
    assert not ask(way, 11, 2)
    assert not ask(way, 12, 3), "would cross 11, who asked before"
    way.release(10, JUNCTION)
    assert ask(way, 11, 2)


def test_who_may_not_enter_loses_the_place() -> None:
    way = RightOfWay(CROSSING)
    assert ask(way, 10, 1)
    assert not ask(way, 11, 2)
    assert not ask(way, 11, 2, may_enter=False)
    assert ask(way, 12, 3)
