"""A metric is described once: one that is added to the table appears wherever sub-scores do (docs/how-to-add.md)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json

from navforge.scoring import metrics

added = metrics.Metric(name="calm", short="CA", kind="weighted", weight=3.0, column=metrics.Column.COLLISION, levels=3)
metrics.METRICS_V2 = (*metrics.METRICS_V2, added)  # before anything has read the table

from navforge.evaluation.tables import schema
from navforge.models.heads.configs import HydraMdpConfig
from navforge.scoring.engine import score_plans
from navforge.teacher import rows
from tests.scoring.scenes import Sketch, Thing, straight, two_lane_road

# A parked car is hit (NC 0, so calm 0), or the plan ends before it; the human driver hits it too.
scene = Sketch(polygons=two_lane_road(), things=[Thing(x=25.0, y=0.0)]).scene()
plans = [straight(8, 0.5, speed) for speed in (8.0, 2.0)]
runs = (score_plans(scene, plan[None], 0.5, ("epdms_v2",), human_filter=False) for plan in plans)
scores = [run["epdms_v2"] for run in runs]
print(json.dumps({
    "values": [score.values["calm"].tolist() for score in scores],
    "collisions": [score.values["no_at_fault_collisions"].tolist() for score in scores],
    "score": scores[1].score.tolist(),
    "others": {name: value.tolist() for name, value in scores[1].scored.items()},
    "table": list(schema(("epdms_v2",))),
    "head": HydraMdpConfig().teacher_columns,
    "loss": HydraMdpConfig().loss.calm,
    "halves": rows.HALVES,
}))
"""


def test_a_metric_added_to_the_table_appears_everywhere() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["values"] == found["collisions"] == [[0.0], [1.0]]
    assert "calm" in found["table"] and "calm" in found["head"] and "calm" in found["halves"] and found["loss"] == 1.0
    weights = {
        "ego_progress": 5.0,
        "time_to_collision_within_bound": 5.0,
        "lane_keeping": 2.0,
        "history_comfort": 2.0,
        "calm": 3.0,
    }
    others = {name: value[0] for name, value in found["others"].items()}
    gate = 1.0
    for name, value in others.items():
        gate *= 1.0 if name in weights else value
    mean = sum(weights[name] * others[name] for name in weights) / sum(weights.values())
    assert abs(found["score"][0] - gate * mean) < 1e-12
