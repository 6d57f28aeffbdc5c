"""Traffic at 10 Hz: vehicles and cyclists on driving lines (IDM, lights, right of way, lane changes), pedestrians."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.vehicle import EGO_HEIGHT_M, EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.town.kernels import NOTHING, first_obstacles
from navforge.town.lane_changes import BEHIND_M, NEAR_M, SLOW_SHARE, LaneChanger
from navforge.town.lights import Lights
from navforge.town.paths import SPACING_M, DrivingLine, Gate
from navforge.town.pedestrians import Pedestrians
from navforge.town.right_of_way import RightOfWay
from navforge.town.world import ActorKind, Light, Turn

Float = NDArray[np.float64]

STEP_S = 0.1
HORIZON_M = 48.0
STEPS_BETWEEN_CHANGES = 10
EGO = 0
"""Number of the ego vehicle among the drivers."""


@dataclass(frozen=True, slots=True)
class Manner:
    """Longitudinal habits of one driver (IDM and what lies around it)."""

    acceleration: float = 1.6
    """m/s2"""
    braking: float = 1.9
    """Comfortable deceleration, m/s2."""
    headway_s: float = 1.4
    standstill_m: float = 2.6
    jerk: float = 2.2
    """m/s3; more in an emergency."""
    stop_short_m: float = 1.2
    """From the stop line to the front bumper."""


@dataclass(slots=True)
class Driver:
    """One vehicle or cyclist: what it is, where it is, what it is about to do."""

    kind: ActorKind
    length: float
    width: float
    height: float
    line: DrivingLine
    manner: Manner
    s: float
    """Arc length of the reference point: box centre, rear axle for ego."""
    v: float
    colour: int
    a: float = 0.0
    to_front: float = 0.0
    """From the reference point to the front bumper."""
    to_rear: float = 0.0
    gate: int = 0
    """Index of the next gate whose exit has not been passed."""
    released: int = 0
    """Gates before this one have been given free for others."""
    committed: int = -1
    """Gate it will pass although the light turned yellow."""
    standing_until: float = -1.0
    """It halts (drop-off, delivery) until this time."""
    halts: list[tuple[float, float]] = field(default_factory=list)
    """(arc length, duration) of halts to come."""
    gone: bool = False

    @property
    def front(self) -> float:
        """Arc length of the front bumper."""
        return self.s + self.to_front

    def next_gate(self) -> Gate | None:
        """The gate ahead, or the one being passed."""
        gates = self.line.gates
        while self.gate < len(gates) and self.s - self.to_rear > gates[self.gate].exit:
            self.gate += 1
        return gates[self.gate] if self.gate < len(gates) else None


def make_driver(
    kind: ActorKind,
    size: tuple[float, float, float],
    line: DrivingLine,
    manner: Manner,
    s: float,
    v: float,
    colour: int,
) -> Driver:
    """A driver whose box centre follows its line."""
    length, width, height = size
    return Driver(
        kind, length, width, height, line, manner, s, v, colour, to_front=length / 2, to_rear=length / 2
    )  # fmt: skip


def make_ego(line: DrivingLine, manner: Manner, s: float, v: float) -> Driver:
    """The ego driver: its rear axle follows the line."""
    driver = Driver(ActorKind.CAR, EGO_LENGTH_M, EGO_WIDTH_M, EGO_HEIGHT_M, line, manner, s, v, 0)
    driver.to_front = EGO_LENGTH_M / 2 + REAR_AXLE_TO_CENTER_M
    driver.to_rear = EGO_LENGTH_M / 2 - REAR_AXLE_TO_CENTER_M
    return driver


class Traffic:
    """Everything that moves in one log; `step` advances it by `STEP_S`."""

    def __init__(
        self,
        drivers: list[Driver],
        pedestrians: Pedestrians,
        lights: Lights,
        right_of_way: RightOfWay,
        statics: Float,
        gate_roadblock: dict[int, int],
        lane_changer: LaneChanger,
        rng: np.random.Generator,
    ) -> None:
        """Put a scene together.

        Args:
            drivers: ego first.
            pedestrians: walkers and crossers.
            lights: of the town.
            right_of_way: of the town.
            statics: (N, 5) boxes that stand still all the time.
            gate_roadblock: roadblock in front of every connector, by connector fid.
            lane_changer: makes the lines of lane changes.
            rng: ego's acceleration noise.
        """
        self.drivers, self.pedestrians, self.lights = drivers, pedestrians, lights
        self.time = 0.0
        self.ego_hindered = False
        """Something else than the road itself slows ego down in this step."""
        self._way = right_of_way
        self._statics = statics
        self._gate_roadblock = gate_roadblock
        self._lane_changer = lane_changer
        self._rng = rng
        self._noise = 0.0
        self._pack()

    def _pack(self) -> None:
        self._paths = np.concatenate([driver.line.pose for driver in self.drivers])
        self._path_start = np.concatenate([[0], np.cumsum([len(driver.line.pose) for driver in self.drivers])])
        self._half = np.array([driver.width / 2 + (0.25 if n == EGO else 0.2) for n, driver in enumerate(self.drivers)])

    def replace_line(self, number: int, line: DrivingLine, s: float) -> None:
        """Give a driver another line on which it is at arc length s."""
        driver = self.drivers[number]
        for gate in driver.line.gates[driver.gate :]:
            self._way.release(number, gate.intersection)
        driver.line, driver.s, driver.gate, driver.released, driver.committed = line, s, 0, 0, -1
        self._pack()

    def poses(self) -> Float:
        """(D, 3) reference poses of all drivers."""
        return np.array([driver.line.at(driver.s) for driver in self.drivers])

    def boxes(self, poses: Float) -> Float:
        """(D, 5) boxes of all drivers at their reference poses."""
        middle = np.array([(driver.to_front - driver.to_rear) / 2 for driver in self.drivers])
        heading = poses[:, 2]
        size = np.array([[driver.length, driver.width] for driver in self.drivers])
        ahead = middle[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        return np.column_stack([poses[:, :2] + ahead, heading, size])

    def step(self) -> None:
        """Advance by `STEP_S`."""
        poses = self.poses()
        boxes = self.boxes(poses)
        speed = np.array([driver.v for driver in self.drivers])
        velocity = speed[:, None] * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=1)
        self._step_lights()
        walk = self.pedestrians.step(STEP_S, boxes, velocity, self._crossing_allowed)
        everything = np.concatenate([boxes, self._statics, walk])
        owner = np.full(len(everything), -1)
        owner[: len(boxes)] = np.arange(len(boxes))
        gone = np.array([driver.gone for driver in self.drivers])
        everything[: len(boxes)][gone] += [1e6, 1e6, 0, 0, 0]
        moving = np.zeros((len(everything), 2))
        moving[: len(boxes)] = velocity
        gap, hit, ahead = first_obstacles(
            self._paths,
            self._path_start,
            SPACING_M,
            np.array([driver.front for driver in self.drivers]),
            self._half,
            everything,
            moving,
            owner,
            HORIZON_M,
        )
        for number, driver in enumerate(self.drivers):
            if not driver.gone:
                self._drive(number, driver, float(gap[number]), int(hit[number]), float(ahead[number]))
        self.time += STEP_S
        if round(self.time / STEP_S) % STEPS_BETWEEN_CHANGES == 0:
            self._change_lanes(boxes[~gone], gap, hit, ahead)

    def _change_lanes(self, boxes: Float, gap: Float, hit: NDArray[np.int64], ahead: Float) -> None:
        """Let at most one vehicle, ego excepted, leave a slow leader for the lane beside."""
        for number, driver in enumerate(self.drivers):
            if number == EGO or driver.gone or driver.kind > ActorKind.BUS or hit[number] == NOTHING:
                continue
            wanted = float(driver.line.speed[min(int(driver.s / SPACING_M), len(driver.line.speed) - 1)])
            if driver.v < 1.5 or gap[number] > NEAR_M or ahead[number] > SLOW_SHARE * wanted:
                continue
            own = driver.line.at(driver.s)[:2]
            others = boxes[np.hypot(*(boxes[:, :2] - own).T) > 0.5 * driver.length]
            line = self._lane_changer.line(driver.line, driver.s, driver.v, driver.width / 2, others)
            if line is not None:
                self.replace_line(number, line, float(BEHIND_M))
                return

    def _step_lights(self) -> None:
        waiting, near = set(), set()
        for driver in self.drivers:
            gate = driver.next_gate()
            if gate is None or not gate.lit or driver.gone:
                continue
            away = gate.stop - driver.front
            if -1.0 < away < 32.0:
                waiting.add(self._gate_roadblock[gate.connector])
            if -1.0 < away < 9.0 + 1.3 * driver.v:
                near.add(self._gate_roadblock[gate.connector])
        ego = self.drivers[EGO].next_gate()
        urgent = frozenset() if ego is None else frozenset({self._gate_roadblock[ego.connector]})
        self.lights.step(STEP_S, waiting, near, urgent)

    def _crossing_allowed(self, roadblock: int) -> bool:
        """Whether pedestrians may start over the arm of this roadblock: its vehicles do not have green."""
        states = [
            light for connector, light in self.lights.state.items() if self._gate_roadblock[connector] == roadblock
        ]
        return not states or states[0] == Light.RED

    def _drive(self, number: int, driver: Driver, gap: float, hit: int, ahead: float) -> None:
        manner, v = driver.manner, driver.v
        place = min(int((driver.s + 0.7 * v) / SPACING_M), len(driver.line.speed) - 1)
        wanted = float(driver.line.speed[place])
        free = min(manner.acceleration * (1 - (v / max(wanted, 0.5)) ** 4), 1.1 * (wanted - v) + 0.3)
        command = unhindered = max(free, -2.4)
        if hit != NOTHING:
            command = min(command, idm(manner, v, gap, max(ahead, 0.0), manner.standstill_m))
        command = min(command, self._at_gate(number, driver, gap, ahead if hit != NOTHING else None))
        command = min(command, self._at_halt(driver))
        if number == EGO:
            self.ego_hindered = command < unhindered - 0.5
        if driver.front > driver.line.length - 1.5:
            driver.gone = number != EGO
            self._leave(number, driver)
        self._move(number, driver, command)

    def _leave(self, number: int, driver: Driver) -> None:
        for gate in driver.line.gates:
            self._way.release(number, gate.intersection)

    def _at_gate(self, number: int, driver: Driver, gap: float, ahead: float | None) -> float:
        gate = driver.next_gate()
        for done in driver.line.gates[driver.released : driver.gate]:
            self._way.release(number, done.intersection)
        driver.released = driver.gate
        if gate is None:
            return np.inf
        away = gate.stop - driver.front
        v, manner = driver.v, driver.manner
        if away < -1.0 or away > max(35.0, 4.0 * v):
            return np.inf
        light = self.lights.state.get(gate.connector, Light.GREEN)
        if light == Light.GREEN:
            driver.committed = -1
        elif light == Light.YELLOW and v * v / (2 * max(away - 0.3, 0.1)) > 2.6:
            driver.committed = driver.gate
        stop = light == Light.RED or (light == Light.YELLOW and driver.committed != driver.gate)
        if light == Light.RED and driver.committed == driver.gate and v * v / (2 * max(away - 0.2, 0.1)) > 3.5:
            stop = False
        reach = max(14.0, v * v / (2 * 1.3) + 9.0) if number != EGO else max(20.0, v * v / (2 * 1.0) + 12.0)
        if not stop and away < reach:
            leader_first = ahead is not None and gap < away
            blocked = ahead is not None and ahead < 1.5 and gap < gate.exit - driver.front + driver.length + 1.0
            stop = not self._way.ask(
                number,
                gate.intersection,
                gate.connector,
                may_enter=not leader_first and not (blocked and gap > away),
                at_line=away < 7.0,
            )
        elif stop:
            self._way.release(number, gate.intersection)
        elif not gate.lit and away < reach + 15.0 and gate.turn != Turn.STRAIGHT:
            return np.inf
        return idm(manner, v, away - manner.stop_short_m + 0.8, 0.0, 0.8) if stop else np.inf

    def _at_halt(self, driver: Driver) -> float:
        if driver.standing_until > self.time:
            return -2.5
        if not driver.halts:
            return np.inf
        away = driver.halts[0][0] - driver.s
        if away < 0.6 and driver.v < 0.4:
            driver.standing_until = self.time + driver.halts.pop(0)[1]
            return -2.5
        if away < -2.0:
            driver.halts.pop(0)
            return np.inf
        return idm(driver.manner, driver.v, away + 0.8, 0.0, 0.8) if away < 35.0 else np.inf

    def _move(self, number: int, driver: Driver, command: float) -> None:
        manner = driver.manner
        command = float(np.clip(command, -6.0, manner.acceleration))
        if command > -3.5:
            command = max(command, -0.45 - 1.1 * driver.v)  # let go of the brake just before standing
        if number == EGO:
            self._noise += STEP_S * (-0.5 * self._noise) + 0.14 * np.sqrt(STEP_S) * float(self._rng.standard_normal())
            if driver.v > 1.0 and command > -1.5:
                command += float(np.clip(self._noise, -0.3, 0.3))
        urgent = command < -3.2
        down = STEP_S * (7.0 if urgent else 1.3 * manner.jerk)
        up = STEP_S * (manner.jerk if driver.a >= 0 else 2.0 * manner.jerk)
        a = float(np.clip(command, driver.a - down, driver.a + up))
        v = driver.v + a * STEP_S
        if v <= 0.05 and a <= 0.0:
            v = max(v, 0.0)
            if v < 0.05:
                v, a = 0.0, (0.0 if driver.v < 0.08 else -driver.v / STEP_S)
        driver.s += (driver.v + v) / 2 * STEP_S
        driver.v, driver.a = v, a


def idm(manner: Manner, v: float, gap: float, ahead: float, standstill: float) -> float:
    """Acceleration of the Intelligent Driver Model towards something ahead, without its free-road term's v0.

    Source: Treiber, Hennecke, Helbing (2000). The free-road part is the caller's; here only the interaction.

    Args:
        manner: the driver's habits.
        v: own speed, m/s.
        gap: bumper to bumper, m.
        ahead: speed of what is ahead, m/s.
        standstill: gap kept when standing, m.
    """
    wish = standstill + max(
        0.0,
        v * manner.headway_s * (ahead > 0.3) + v * (v - ahead) / (2 * np.sqrt(manner.acceleration * manner.braking)),
    )
    return manner.acceleration * (1 - (wish / max(gap, 0.1)) ** 2)
