"""Solids: extents, closedness by outward normals, and bodies that stay within their annotation box."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.town.sensors import mesh
from navforge.town.sensors.actors import actors_mesh, body
from navforge.town.sensors.mesh import Surface
from navforge.town.world import ActorKind, Actors

SIZES = {
    ActorKind.CAR: (4.6, 1.9, 1.6),
    ActorKind.VAN: (5.6, 2.1, 2.4),
    ActorKind.TRUCK: (8.0, 2.5, 3.3),
    ActorKind.BUS: (12.0, 2.6, 3.3),
    ActorKind.BICYCLE: (1.8, 0.6, 1.75),
    ActorKind.PEDESTRIAN: (0.6, 0.65, 1.75),
    ActorKind.CONE: (0.4, 0.4, 0.7),
    ActorKind.BARRIER: (0.5, 1.8, 1.0),
    ActorKind.SIGN: (0.3, 0.9, 1.4),
    ActorKind.GENERIC: (0.6, 0.6, 1.1),
}


def volume(triangles: np.ndarray) -> float:
    """Signed volume of a closed surface; positive where normals point outward."""
    t = triangles.astype(float)
    return float(np.einsum("tc,tc->t", t[:, 0], np.cross(t[:, 1], t[:, 2])).sum() / 6)


def test_box_volume_and_orientation() -> None:
    assert volume(mesh.box((0, 2), (0, 3), (0, 4))) == pytest.approx(24)


def test_frustum_volume() -> None:
    assert volume(mesh.frustum((-1, 1, -1, 1), (0, 0, 0, 0), 0, 3)) == pytest.approx(4)  # a pyramid


def test_ball_fills_most_of_its_ellipsoid() -> None:
    inside = volume(mesh.ball((1, 2, 3), (5, 5, 5), rows=16, columns=24))
    assert 0.95 * 8 * np.pi < inside < 8 * np.pi


def test_extrude_accepts_either_orientation() -> None:
    ring = np.array([[0, 0], [4, 0], [4, 2], [0, 2]])
    for footprint in (ring, ring[::-1]):
        walls, roof = mesh.extrude(footprint, (0, 5))
        floor = np.array([[[0, 0, 0], [0, 2, 0], [4, 2, 0]], [[0, 0, 0], [4, 2, 0], [4, 0, 0]]])
        assert volume(np.concatenate([walls, roof, floor])) == pytest.approx(40)


@pytest.mark.parametrize("kind", list(ActorKind), ids=lambda k: k.name)
def test_body_fills_its_box_and_no_more(kind: ActorKind) -> None:
    length, width, height = SIZES[kind]
    for seed in range(4):
        points = body(kind, length, width, height, seed).triangles.reshape(-1, 3)
        low, high = points.min(axis=0), points.max(axis=0)
        limit = np.array([length, width, height]) / 2 + 0.02
        assert (np.abs(points - [0, 0, height / 2]) <= limit).all()
        assert low[2] == pytest.approx(0, abs=1e-6)
        assert high[2] > 0.95 * height
        assert high[1] - low[1] > 0.6 * width


def test_heading_and_brakes_show() -> None:
    calm = body(ActorKind.CAR, 4.6, 1.9, 1.6, 3)
    braking = body(ActorKind.CAR, 4.6, 1.9, 1.6, 3, True)
    shining = lambda m: m.triangles[m.surface == Surface.GLOW].mean(axis=1)  # noqa: E731
    assert (shining(calm)[:, 0] > 0).all(), "head lights are in front"
    assert (shining(braking)[:, 0] < -2).any(), "brake lights are behind"


def test_actors_mesh_places_bodies_and_drops_far_ones() -> None:
    box = np.array([[10.0, 5.0, 0.8, 4.6, 1.9, 1.6, np.pi / 2], [500.0, 0.0, 0.8, 4.6, 1.9, 1.6, 0.0]])
    actors = Actors(
        box=box,
        velocity=np.zeros((2, 2)),
        kind=np.zeros(2, np.uint8),
        track=np.arange(2),
        colour=np.arange(2),
        braking=np.zeros(2, bool),
    )
    found = actors_mesh(actors, (0.0, 0.0), 100.0)
    assert set(found.slot.tolist()) == {0}
    points = found.triangles.reshape(-1, 3)
    np.testing.assert_allclose(points.min(axis=0), [10 - 0.95, 5 - 2.3, 0.0], atol=0.02)
    np.testing.assert_allclose(points.max(axis=0), [10 + 0.95, 5 + 2.3, 1.6], atol=0.02)
