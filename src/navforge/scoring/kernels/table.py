"""The table of sub-scores that are computed one proposal at a time, by blocks on a CPU and by CUDA threads alike."""

from __future__ import annotations

from navforge.geometry.compiled import kernel
from navforge.scoring.kernels.lookup import ever_leaves_road
from navforge.scoring.kernels.path import driving_direction, lane_keeping
from navforge.scoring.metrics import Column


@kernel
def judge(scene, is_v2, motion, steps, n, seen, way, result):
    """Write sub-scores of proposal n. A new one is a line here that calls its kernel.

    Args:
        scene: `scoring.batch.arrays.SceneArrays`.
        is_v2: rules of v2 or v1.1.
        motion: (`kernels.motion.MOTION_ROWS`, T, N).
        steps: T.
        n: the proposal.
        seen: (`kernels.lookup.SEEN_ROWS`, N), updated.
        way: (T, N) work space.
        result: (`Column`,) of this proposal, written.
    """
    areas = scene.areas
    result[Column.DRIVABLE] = 0.0 if ever_leaves_road(areas, motion, n, seen) else 1.0
    result[Column.DIRECTION] = driving_direction(areas, motion, steps, is_v2, n, seen, way)
    result[Column.LANE] = lane_keeping(scene.path, areas, motion, steps, n, seen) if is_v2 else 1.0
