"""Names of the files in the folder of an evaluation."""

SCORES, PLANS, RESULT, FAILURES = "scores.parquet", "plans.npz", "summary.json", "failures.json"
METRICS = "metrics.parquet"
