"""A camera image with trajectories laid on the road as ribbons."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from navforge.data.sensors import CameraCalibration, project
from navforge.reports.figures.style import Trajectory

WIDTH = 960
SMOOTH = 2
"""Ribbons are drawn this much larger and shrunk, for smooth edges."""
STEP_M = 0.25
START_M = 2.0
"""Ribbons start this far ahead of the rear axle; nearer ground is hidden or beside the lens."""
QUALITY = 85

Points = NDArray[np.float64]


def draw_camera(
    image: NDArray[np.uint8],
    calibration: CameraCalibration,
    trajectories: Sequence[Trajectory] = (),
    *,
    ground_z: float = 0.0,
) -> bytes:
    """JPEG, 960 px wide, of a camera image with the trajectories on the ground.

    Args:
        image: (H, W, 3) RGB.
        calibration: the camera's geometry for an image of this size.
        trajectories: plans in the ego frame, later ones on top.
        ground_z: height of the road in the ego frame, m.
    """
    height, width = image.shape[:2]
    scale = WIDTH * SMOOTH / width
    canvas = (WIDTH * SMOOTH, round(height * scale))
    picture = Image.fromarray(image).resize(canvas, Image.Resampling.BICUBIC).convert("RGBA")
    for trajectory in trajectories:
        layer = Image.new("RGBA", canvas, (0, 0, 0, 0))
        draw = ImageDraw.Draw(layer)
        for quad in ribbon(trajectory, calibration, (width, height), ground_z):
            corners = [(float(u), float(v)) for u, v in (quad + 0.5) * scale]
            draw.polygon(corners, fill=(*_rgb(trajectory.style.color), 190))
        picture.alpha_composite(layer)
    small = picture.convert("RGB").resize((WIDTH, canvas[1] // SMOOTH), Image.Resampling.BOX)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def ribbon(
    trajectory: Trajectory, calibration: CameraCalibration, size: tuple[int, int], ground_z: float = 0.0
) -> list[Points]:
    """Quadrilaterals (4, 2), in pixels, of a trajectory's band on the ground, those inside the image only.

    A dashed style leaves gaps of the same proportions on the ground.
    """
    line, normal, along = _dense(np.asarray(trajectory.poses, np.float64))
    half = trajectory.style.width_m / 2
    level = np.full(len(line), ground_z)
    left, left_depth, left_ok = project(np.column_stack([line + half * normal, level]), calibration)
    right, _, right_ok = project(np.column_stack([line - half * normal, level]), calibration)
    shown = left_ok & right_ok & (left_depth > 0.3)
    margin = 2.0 * max(size)
    shown &= (np.abs(left) < margin).all(axis=1) & (np.abs(right) < margin).all(axis=1)
    shown &= line[:, 0] >= START_M
    painted = _painted(along, trajectory.style.dash)
    quads = []
    for k in range(len(line) - 1):
        if shown[k] and shown[k + 1] and painted[k]:
            quad = np.array([left[k], right[k], right[k + 1], left[k + 1]])
            if (quad.max(axis=0) >= 0).all() and (quad.min(axis=0) < size).all():
                quads.append(quad)
    return quads


def _dense(poses: Points) -> tuple[Points, Points, Points]:
    """Points (K, 2) every `STEP_M` along a trajectory from the ego, their left normals (K, 2), arc lengths (K,)."""
    knots = np.concatenate([np.zeros((1, 2)), poses[:, :2]])
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    keep = np.concatenate([[True], np.diff(lengths) > 1e-6])
    knots, lengths = knots[keep], lengths[keep]
    along = np.arange(0.0, lengths[-1] + 1e-9, STEP_M)
    line = np.column_stack([np.interp(along, lengths, knots[:, 0]), np.interp(along, lengths, knots[:, 1])])
    if len(line) < 2:
        return line, np.tile([0.0, 1.0], (len(line), 1)), along
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    return line, np.column_stack([-tangent[:, 1], tangent[:, 0]]), along


def _painted(along: Points, dash: tuple[float, ...]) -> NDArray[np.bool_]:
    """Which points of a line lie on a dash; the pattern repeats every 2.5 m."""
    if not dash:
        return np.ones(len(along), dtype=bool)
    edges = np.cumsum(dash) / np.sum(dash)
    return np.searchsorted(edges, (along / 2.5) % 1.0, side="right") % 2 == 0


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
