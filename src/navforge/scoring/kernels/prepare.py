"""Compiled preparation of a scene: global arrays of the metric cache into arrays in the ego frame.

A frame is (5,) x, y, heading of its origin in the global frame, cosine and sine of the heading.
"""

from __future__ import annotations

import math

import numpy as np

from navforge.geometry.compiled import kernel
from navforge.geometry.kernels import boxes_overlap
from navforge.geometry.lanes import WIDTH
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.scoring.arrays import WINDOW_STEPS

FRAME_X, FRAME_Y, FRAME_HEADING, FRAME_COS, FRAME_SIN = range(5)


@kernel(inline="always")
def to_local(frame, x, y):
    """A global point in a frame."""
    dx = x - frame[FRAME_X]
    dy = y - frame[FRAME_Y]
    return frame[FRAME_COS] * dx + frame[FRAME_SIN] * dy, frame[FRAME_COS] * dy - frame[FRAME_SIN] * dx


@kernel
def fill_polygons(xy, ring_start, polygon_start, frame, local, bounds):
    """Fill vertices `local` (V, 2) and `bounds` (P, 4) in a frame; returns a polygon without vertices, or -1."""
    for p in range(bounds.shape[0]):
        low_x = math.inf
        low_y = math.inf
        high_x = -math.inf
        high_y = -math.inf
        first = ring_start[polygon_start[p]]
        last = ring_start[polygon_start[p + 1]]
        if last <= first:
            return p
        for v in range(first, last):
            x, y = to_local(frame, xy[v, 0], xy[v, 1])
            local[v, 0] = x
            local[v, 1] = y
            low_x = min(low_x, x)
            low_y = min(low_y, y)
            high_x = max(high_x, x)
            high_y = max(high_y, y)
        bounds[p, 0] = low_x
        bounds[p, 1] = low_y
        bounds[p, 2] = high_x
        bounds[p, 3] = high_y
    return -1


@kernel
def fill_members(layer, on_route, classes_of_layer, on_route_class, start, members):
    """Polygons of each class: fills `start` (classes + 1,) and `members`, and returns how many these are.

    Args:
        layer: (P,) uint8.
        on_route: (P,) bool, needed of the members of class `on_route_class`.
        classes_of_layer: (layers,) uint8, bit a says that polygons of a layer are in class a.
        on_route_class: a class.
        start: (classes + 1,) int32.
        members: (classes * P,) int32.
    """
    count = 0
    for area in range(start.shape[0] - 1):
        start[area] = count
        for p in range(layer.shape[0]):
            if (classes_of_layer[layer[p]] >> area) & 1 and (on_route[p] or area != on_route_class):
                members[count] = p
                count += 1
    start[start.shape[0] - 1] = count
    return count


@kernel
def turn_headings(pose, frame, heading):
    """Fill `heading` (O, T) in a frame from `pose` (O, T, 3)."""
    for o in range(pose.shape[0]):
        for t in range(pose.shape[1]):
            heading[o, t] = pose[o, t, 2] - frame[FRAME_HEADING]


@kernel
def choose_objects(pose, valid, cos, sin, extent, frame, drop_overlapping, kept, distance):
    """Objects to score with: fills `kept` and `distance` (O,), the latter at the first step, and returns their number.

    Left out are objects that exist at no step and, if asked for, those whose box meets the ego's at the current step.
    `cos` and `sin` (O, T) are of the heading in the frame.
    """
    count = 0
    for o in range(valid.shape[0]):
        for t in range(valid.shape[1]):
            if not valid[o, t]:
                continue
            x, y = to_local(frame, pose[o, t, 0], pose[o, t, 1])
            if t > 0 or not drop_overlapping or not meets_ego(x, y, cos[o, t], sin[o, t], extent[o, 0], extent[o, 1]):
                kept[count] = o
                distance[count] = math.hypot(x, y)
                count += 1
            break
    return count


@kernel
def meets_ego(x, y, c, s, length, width):
    """Whether a box meets the ego's box at the origin of the frame, touching included."""
    return boxes_overlap(
        x - REAR_AXLE_TO_CENTER_M, y, 1.0, 0.0, 0.5 * EGO_LENGTH_M, 0.5 * EGO_WIDTH_M, c, s, 0.5 * length, 0.5 * width
    )


@kernel
def fill_traffic(pose, valid, cos, sin, frame, margin, traffic):
    """Fill `track`, `windows`, `bounds` and `present` of `TrafficArrays` for the objects that it names."""
    track = traffic.track
    windows = traffic.windows
    bounds = traffic.bounds
    present = traffic.present
    for n in range(track.shape[0]):
        o = traffic.object[n]
        half_length = traffic.half_length[n]
        half_width = traffic.half_width[n]
        mask = np.int64(0)
        for w in range(windows.shape[2]):
            low_x = math.inf
            low_y = math.inf
            high_x = -math.inf
            high_y = -math.inf
            for t in range(w * WINDOW_STEPS, min((w + 1) * WINDOW_STEPS, valid.shape[1])):
                if not valid[o, t]:
                    for column in range(4):
                        track[n, t, column] = 0.0
                    continue
                mask |= np.int64(1) << t
                x, y = to_local(frame, pose[o, t, 0], pose[o, t, 1])
                c = cos[o, t]
                s = sin[o, t]
                track[n, t, 0] = x
                track[n, t, 1] = y
                track[n, t, 2] = c
                track[n, t, 3] = s
                reach_x = half_length * abs(c) + half_width * abs(s) + margin
                reach_y = half_length * abs(s) + half_width * abs(c) + margin
                low_x = min(low_x, x - reach_x)
                low_y = min(low_y, y - reach_y)
                high_x = max(high_x, x + reach_x)
                high_y = max(high_y, y + reach_y)
            windows[n, 0, w] = low_x
            windows[n, 1, w] = low_y
            windows[n, 2, w] = high_x
            windows[n, 3, w] = high_y
        present[n] = mask
    fill_groups(windows, bounds)


@kernel
def fill_groups(windows, bounds):
    """Fill bounds over all steps (G, 4, 8) from those by window (O, 4, W); of nothing beyond the last object."""
    for n in range(bounds.shape[0] * WIDTH):
        for side in range(4):
            low = side < 2
            bound = math.inf if low else -math.inf
            if n < windows.shape[0]:
                for w in range(windows.shape[2]):
                    bound = min(bound, windows[n, side, w]) if low else max(bound, windows[n, side, w])
            bounds[n // WIDTH, side, n % WIDTH] = bound
