"""Hand-made road graphs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely


class FakeGraph:
    """Blocks with one lane each, on a line: block b lies at x 10 b .. 10 b + 10, its lane is 100 + b.

    Blocks from 50 on are connectors. `links` are (block, following block); lanes follow likewise.
    """

    def __init__(
        self, links: Sequence[tuple[int, int]], blocks: Sequence[int] = (), limits: dict[int, float] | None = None
    ):
        self.links = list(links)
        self.blocks = sorted({*blocks, *(block for link in links for block in link)})
        self.areas: dict[int, shapely.Polygon] = {}
        self.lengths: dict[int, float] = {}
        self.lane_lists: dict[int, list[int]] = {}

    def has_block(self, block):
        return block in self.blocks

    def is_connector(self, block):
        return block >= 50

    def next_blocks(self, block):
        return [b for a, b in self.links if a == block]

    def previous_blocks(self, block):
        return [a for a, b in self.links if b == block]

    def lanes_of(self, block):
        return self.lane_lists.get(block, [100 + block] if block in self.blocks else [])

    def block_polygon(self, block):
        return self.areas.get(block, shapely.box(10 * block, -2, 10 * block + 10, 2))

    def blocks_near(self, x, y, radius_m):
        square = shapely.box(x - radius_m, y - radius_m, x + radius_m, y + radius_m)
        near = [b for b in self.blocks if self.block_polygon(b).intersects(square)]
        return sorted(near, key=self.is_connector)

    def nearest_blocks(self, x, y):
        point = shapely.Point(x, y)
        kinds = [[b for b in self.blocks if self.is_connector(b) is kind] for kind in (False, True)]
        return [min(kind, key=lambda b: self.block_polygon(b).distance(point)) for kind in kinds if kind]

    def next_lanes(self, lane):
        return [following for b in self.next_blocks(self.block_of(lane)) for following in self.lanes_of(b)]

    def block_of(self, lane):
        owners = [b for b, lanes in self.lane_lists.items() if lane in lanes]
        return owners[0] if owners else lane - 100

    def lane_path(self, lane):
        x = 10.0 * self.block_of(lane)
        return np.array([[x, 0.0, 0.0], [x + 5, 0.0, 0.0], [x + 10, 0.0, 0.0]])

    def lane_length(self, lane):
        return self.lengths.get(lane, 10.0)

    def lane_polygon(self, lane):
        return self.block_polygon(self.block_of(lane))

    def speed_limit(self, lane):
        return None
