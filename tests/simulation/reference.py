"""A plain NumPy tracker and bicycle model, one plan at a time: least squares by pseudo-inverse, LQR by matrices.

Slow and literal on purpose; the kernels must agree with it. It follows the formulas of the LQR tracker as published
with nuPlan, with the one accident of its difference matrix.
"""

from __future__ import annotations

import numpy as np

DT = 0.1
WHEEL_BASE = 3.089


def wrap(angle):
    return np.arctan2(np.sin(angle), np.cos(angle))


def profiles(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speeds and curvatures (40,) of one plan (41, 3)."""
    n = len(poses) - 1
    heading = poses[:-1, 2]
    direction = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    rows = np.zeros((n, 2, n))
    for k in range(n):
        rows[k, :, 0] = direction[k] * DT
        rows[k, :, 1 : k + 1] = direction[k][:, None] * DT**2
    a = rows.reshape(2 * n, n)
    penalty = np.zeros((n - 2, n))
    for row in range(n - 2):
        penalty[row, row + 1] = -1.0
    penalty[n - 3, n - 1] = 1.0
    x = (
        np.linalg.pinv(a.T @ a + 1e-4 * penalty.T @ penalty, hermitian=True)
        @ a.T
        @ np.diff(poses[:, :2], axis=0).ravel()
    )
    speed = x[0] + DT * np.concatenate([[0.0], np.cumsum(x[1:])])
    a = np.zeros((n, n))
    for k in range(n):
        a[k, 0] = speed[k] * DT
        a[k, 1 : k + 1] = speed[k] * DT**2
    q = 1e-2 * np.eye(n)
    q[0, 0] = 1e-10
    x = np.linalg.pinv(a.T @ a + q, hermitian=True) @ a.T @ wrap(np.diff(poses[:, 2]))
    return speed, x[0] + DT * np.concatenate([[0.0], np.cumsum(x[1:])])


def command(state, pose, target_speed, curvatures) -> tuple[float, float]:
    v = state[3]
    if v <= 0.2 and target_speed <= 0.2:
        return -0.5 * (v - target_speed), 0.0
    acceleration = -10.0 / 11.0 * (v - target_speed)
    dx, dy = state[:2] - pose[:2]
    error = np.array([-dx * np.sin(pose[2]) + dy * np.cos(pose[2]), wrap(state[2] - pose[2]), state[7]])
    a, b, g = np.eye(3), np.zeros(3), np.zeros(3)
    for i in range(10):
        vi = v + acceleration * DT * i
        step = np.eye(3)
        step[0, 1] = vi * DT
        step[1, 2] = vi * DT / WHEEL_BASE
        a, b = step @ a, step @ b + np.array([0.0, 0.0, DT])
        g = step @ g + np.array([0.0, -vi * curvatures[i] * DT, 0.0])
    end = a @ error + g
    end[1:] = wrap(end[1:])
    q = np.diag([1.0, 10.0, 0.0])
    return acceleration, float(-(b @ q @ end) / (b @ q @ b + 1.0))


def simulate_one(ego: np.ndarray, poses: np.ndarray) -> np.ndarray:
    speed, curvature = profiles(poses)
    states = [np.array(ego, dtype=np.float64)]
    for k in range(40):
        s = states[-1]
        window = curvature[np.minimum(np.arange(k, k + 10), 39)]
        ask_a, ask_rate = command(s, poses[k], speed[min(k + 10, 39)], window)
        new = np.zeros(11)
        a = s[5] + DT / (DT + 0.2) * (ask_a - s[5])
        rate = (DT / (DT + 0.05)) * ask_rate
        new[0] = s[0] + s[3] * np.cos(s[2]) * DT
        new[1] = s[1] + s[3] * np.sin(s[2]) * DT
        new[2] = wrap(s[2] + s[3] * np.tan(s[7]) / WHEEL_BASE * DT)
        new[3] = s[3] + a * DT
        new[5] = a
        new[7] = np.clip(s[7] + rate * DT, -np.pi / 3, np.pi / 3)
        new[8] = rate
        new[9] = new[3] * np.tan(new[7]) / WHEEL_BASE
        new[10] = (new[9] - s[9]) / DT
        states.append(new)
    return np.array(states)


def interpolated(plan: np.ndarray, times: np.ndarray, at: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Poses (S, 3) of one plan (T, 3), moved to `origin`, at the times `at`; `times` (T + 1,) begin at the origin."""
    c, s = np.cos(origin[2]), np.sin(origin[2])
    x = (c * plan[:, 0] - s * plan[:, 1]) + origin[0]
    y = (s * plan[:, 0] + c * plan[:, 1]) + origin[1]
    heading = np.unwrap(np.concatenate([[origin[2]], wrap(plan[:, 2] + origin[2])]))
    knots = np.stack([np.concatenate([[origin[0]], x]), np.concatenate([[origin[1]], y]), heading], axis=1)
    upper = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    slope = (knots[upper] - knots[upper - 1]) / (times[upper] - times[upper - 1])[:, None]
    return slope * (at - times[upper - 1])[:, None] + knots[upper - 1]
