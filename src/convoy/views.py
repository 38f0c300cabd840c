"""The view that MLflow's page of an experiment offers: the columns that tell networks apart.

MLflow 3.15 and later keep a saved view as a tag of the experiment. The form is that of its own page
(`mlflow.sharedViewState.<id>`: a name, two times and the page's state as JSON), which documents it
nowhere; a test asks a browser whether the page still takes it.
"""

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

ID = "convoy"
NAME = "Convoy: networks compared"
TAG = f"mlflow.sharedViewState.{ID}"
METRICS = (
    "test/accuracy",
    "val/accuracy",
    "test/macro_f1",
    "cost/parameters",
    "cost/latency_p50_ms",
    "cost/training_seconds",
)
COLUMNS = (
    "params.`architecture`",
    *(f"metrics.`{name}`" for name in METRICS),
    "attributes.`Dataset`",
    "attributes.`Models`",
)
"""In the order in which they are shown."""


def offer(client: "MlflowClient", experiment_id: str) -> bool:
    """Have an experiment offer the view. Return whether it did not yet, or had another form of it.

    One that is as it should be is left alone, its time with it.
    """
    there = client.get_experiment(experiment_id).tags.get(TAG, "")
    if _state_of(there) == _state():
        return False
    state = json.dumps(_state(), separators=(",", ":"))
    now = round(time.time() * 1000)
    view = {"name": NAME, "createdAt": now, "updatedAt": now, "state": state}
    client.set_experiment_tag(experiment_id, TAG, json.dumps(view))
    return True


def _state_of(view: str) -> dict[str, Any]:
    try:
        found = json.loads(json.loads(view)["state"])
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _state() -> dict[str, Any]:
    """Return what the page keeps of itself: what is asked for, and how it is shown."""
    return {
        # Ordered by date, trainings are inside their pipelines, which are closed when the page
        # opens, and what is inside a closed run is in no chart.
        "searchFilter": "params.architecture LIKE '%'",
        "orderByKey": "metrics.`test/accuracy`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(COLUMNS),
        "columnWidths": {},
        "runsHiddenMode": "FIRST_20_RUNS",
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
    }
