"""A version that the gate allowed waits for a person: in Prefect's form, or `convoy promote`."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from tests.flows.conftest import NewProject
from tests.terminal import convoy
from tests.ups import Up, running, wait

ASKING = ("--architectures", "mlp", "--set", "gate.require_approval=true")


def client_of(root: Path) -> MlflowClient:
    uri = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def entries(root: Path) -> list[dict[str, Any]]:
    tags = client_of(root).get_registered_model("digits").tags
    return [json.loads(v) for k, v in sorted(tags.items()) if k.startswith("convoy.journal.")]


@pytest.mark.soak
def test_without_a_server_the_run_ends_with_its_version_waiting(new_project: NewProject) -> None:
    root = new_project("waiting")
    done = convoy(root, "run", "--json", *ASKING)
    assert done.code == 0, done.err
    found = done.json()
    assert found["waits"] and found["allowed"]
    assert (found["alias"], found["champion"]) == ("challenger", None)
    assert entries(root) == []
    promoted = convoy(root, "promote", "digits", "1", "--reason", "looked at its mistakes")
    assert promoted.code == 0, promoted.err
    (entry,) = entries(root)
    assert (entry["version"], entry["reason"]) == ("1", "looked at its mistakes")
    said = json.loads(client_of(root).get_model_version("digits", "1").tags["convoy.approval"])
    assert (said["state"], said["by"]) == ("approved", entry["by"])
    again = convoy(root, "run", "--json", *ASKING).json()
    assert again["unchanged"] and not again["waits"] and again["champion"] == "1"


@pytest.mark.soak
@pytest.mark.parametrize("promote", [True, False])
def test_a_served_run_suspends_until_its_form_is_answered(
    new_project: NewProject, promote: bool
) -> None:
    root = new_project("asking")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["run"]["architectures"] = ["mlp"]
    params["gate"]["require_approval"] = True
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with running(root) as up:
        deployment = up.ask(f"{up.prefect}/api/deployments/name/pipeline/nightly")
        start = f"{up.prefect}/api/deployments/{deployment['id']}/create_flow_run"
        run = up.ask(start, {"state": {"type": "SCHEDULED"}})["id"]
        _until(up, run, "PAUSED")
        assert entries(root) == []
        # Another run meanwhile asks nobody a second time.
        other = up.ask(start, {"state": {"type": "SCHEDULED"}})["id"]
        _until(up, other, "COMPLETED")
        answer = {"promote": promote, "reason": "looked at its mistakes", "by": "Ada"}
        # Prefect's SQLite answers 503 while it is locked; a person would press again.
        resume = f"{up.prefect}/api/flow_runs/{run}/resume"
        wait(lambda: up.ask(resume, {"run_input": answer})["status"] == "ACCEPT", 60)
        _until(up, run, "COMPLETED")
    version = client_of(root).get_model_version("digits", "1")
    said = json.loads(version.tags["convoy.approval"])
    assert (said["by"], said["reason"]) == ("Ada", "looked at its mistakes")
    if promote:
        (entry,) = entries(root)
        assert entry["reason"] == "Ada approved: looked at its mistakes"
        assert version.aliases == ["champion"] and said["state"] == "approved"
    else:
        assert entries(root) == []
        assert version.aliases == ["challenger"] and said["state"] == "declined"


def _until(up: Up, run: str, wanted: str) -> None:
    deadline = time.monotonic() + 240
    while True:
        state = up.ask(f"{up.prefect}/api/flow_runs/{run}")["state"]
        if state["type"] == wanted:
            return
        assert state["type"] not in ("FAILED", "CRASHED", "CANCELLED", "COMPLETED"), state
        assert time.monotonic() < deadline, state
        time.sleep(1)
