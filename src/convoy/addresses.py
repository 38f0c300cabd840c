"""Addresses of pages that people open."""

import json
import os
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

CLASSIC = "workflowType=machine_learning"
"""MLflow's pages are those of language models unless an address says otherwise."""


def compare_address(base: str, experiment_id: str, run_ids: Iterable[str]) -> str:
    """Return the address of the MLflow page that compares exactly these runs."""
    runs = quote(json.dumps(list(run_ids), separators=(",", ":")))
    experiments = quote(json.dumps([experiment_id], separators=(",", ":")))
    return f"{base}/#/compare-runs?runs={runs}&experiments={experiments}&{CLASSIC}"


def runs_address(base: str, experiment_id: str, view: str, charts: bool = False) -> str:
    """Return the address of an experiment's runs as a saved view shows them, or of their charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return f"{base}/#/experiments/{experiment_id}/runs?viewStateShareKey={view}{mode}&{CLASSIC}"


def run_address(base: str, experiment_id: str, run_id: str) -> str:
    """Return the address of the MLflow page of one run."""
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}?{CLASSIC}"


def artifact_address(base: str, experiment_id: str, run_id: str, path: str) -> str:
    """Return the address of the MLflow page that shows one of a run's files."""
    where = f"experiments/{experiment_id}/runs/{run_id}/artifacts/{quote(path)}"
    return f"{base}/#/{where}?{CLASSIC}"


def mlflow_interface() -> str:
    """Return the address of the MLflow UI: the server's own, or the one of `convoy up`."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if urlsplit(uri).scheme in ("http", "https"):
        return uri.rstrip("/")
    return f"http://127.0.0.1:{os.environ['CONVOY_MLFLOW_PORT']}"


def prefect_interface() -> str:
    """Return the address of the Prefect UI of `convoy up`."""
    return f"http://127.0.0.1:{os.environ['CONVOY_PREFECT_PORT']}"


def without_credentials(address: str) -> str:
    """Return an address as it may be shown and logged: without the user and password in it."""
    return re.sub(r"//[^/@]*@", "//", address)
