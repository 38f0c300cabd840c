"""One page for a pipeline run, made of what MLflow keeps of it and of nothing else."""

REPORT = "report/report.html"
"""Where a run keeps its report."""
