"""Building the metric cache from logs and maps: route, centreline, objects, lights, PDM-Closed."""
