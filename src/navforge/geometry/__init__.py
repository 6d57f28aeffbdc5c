"""Pure array geometry: column layouts, SE(2), boxes, polylines, polygons."""
