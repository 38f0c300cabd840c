"""What the machine does while a training runs, with its run: processor, memory, disk, GPU.

MLflow's own monitor, which its fluent API would start; Convoy's runs belong to a client instead.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERVAL = 5.0
"""Seconds between two samples, where MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL names no other."""
VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


@contextmanager
def monitored(run_id: str) -> Iterator[None]:
    """Log `system/...` metrics to a run that is open, unless `VARIABLE` says false.

    A run that goes on after a kill goes on with them too. Whatever ends the monitor, the training
    goes on: it swallows its own errors.
    """
    if os.environ.get(VARIABLE, "").lower() not in ("true", "1"):
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run_id,
        sampling_interval=INTERVAL,
        resume_logging=True,
        tracking_uri=os.environ["MLFLOW_TRACKING_URI"],
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
