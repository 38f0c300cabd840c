"""What a killed runner, server or machine leaves in Prefect, and a schedule while nothing ran."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from convoy.files import write_json
from convoy.owners import this_owner
from convoy.prefect_api import PrefectApi
from convoy.project import Project
from tests.prefect_servers import deployed, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectApi]:
    with serving(tmp_path_factory.mktemp("prefect")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project(tmp_path)
    (found.state / "flows").mkdir(parents=True)
    return found


def begun(server: PrefectApi, deployment: str, *states: str, name: str = "") -> str:
    """Create a flow run and bring it through states; return its id."""
    run = server.create_run(deployment, {}, name or None, [])
    for state in states:
        set_state(server, run["id"], state)
    return str(run["id"])


def set_state(server: PrefectApi, run: str, state: str) -> None:
    server.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": state}, "force": True})


def state(server: PrefectApi, run: str) -> tuple[str, str]:
    found = server.ask("GET", f"/flow_runs/{run}")["state"]
    return found["type"], found["name"]


def mark(project: Project, run: str, owner: str) -> Path:
    file = project.state / "flows" / f"{run}.json"
    write_json(file, owner)
    return file


def dead() -> str:
    """This machine's process 1 as it never was."""
    host = this_owner().rsplit(":", 2)[0]
    return f"{host}:1:0.00"


def test_a_run_whose_process_is_gone_is_marked_as_crashed_and_planned_again(
    server: PrefectApi, project: Project
) -> None:
    from flows.interrupted import settle

    deployment = deployed(server, "pipeline", "killed")
    run = begun(server, deployment, "PENDING", "RUNNING")
    alive = begun(server, deployment, "PENDING", "RUNNING", name="alive")
    file = mark(project, run, dead())
    kept = mark(project, alive, this_owner())
    assert len(settle(project, [UUID(deployment)], beginning=True)) == 1
    assert state(server, run) == ("SCHEDULED", "Resuming")
    assert state(server, alive)[0] == "RUNNING"
    assert not file.exists() and kept.exists()
    told = server.ask("GET", f"/flow_run_states/?flow_run_id={run}")
    assert "CRASHED" in [found["type"] for found in told]


def test_one_that_crashes_each_time_is_left_crashed(server: PrefectApi, project: Project) -> None:
    from flows.interrupted import TRIES, settle

    deployment = deployed(server, "pipeline", "doomed")
    run = begun(server, deployment)
    for attempt in range(1, TRIES + 1):
        set_state(server, run, "PENDING")
        set_state(server, run, "RUNNING")
        set_state(server, run, "CRASHED")
        mark(project, run, dead())
        planned = settle(project, [UUID(deployment)], beginning=False)
        assert bool(planned) == (attempt < TRIES)
    assert state(server, run)[0] == "CRASHED"


def test_one_that_was_to_begin_or_to_be_cancelled_is_settled_at_the_beginning(
    server: PrefectApi, project: Project
) -> None:
    from flows.interrupted import settle

    deployment = deployed(server, "pipeline", "half")
    pending = begun(server, deployment, "PENDING")
    cancelling = begun(server, deployment, "PENDING", "RUNNING", "CANCELLING", name="stopped")
    cancelled = begun(server, deployment, "PENDING", "RUNNING", "CANCELLED", name="ended")
    file = mark(project, cancelled, dead())
    assert settle(project, [UUID(deployment)], beginning=False) == []
    assert state(server, pending)[0] == "PENDING", "a runner at work has just taken it"
    assert len(settle(project, [UUID(deployment)], beginning=True)) == 1
    assert state(server, pending)[0] == "SCHEDULED"
    assert state(server, cancelling)[0] == "CANCELLED"
    assert state(server, cancelled)[0] == "CANCELLED" and not file.exists()


def test_a_mark_of_another_server_is_cleared_away(server: PrefectApi, project: Project) -> None:
    from flows.interrupted import settle

    file = mark(project, "00000000-0000-4000-8000-000000000009", dead())
    assert settle(project, [], beginning=True) == []
    assert not file.exists()


def test_runs_that_were_due_while_nothing_ran_collapse_into_the_newest(
    server: PrefectApi,
) -> None:
    from flows.interrupted import collapse

    deployment = deployed(server, "pipeline", "late")
    flow = server.ask("GET", f"/deployments/{deployment}")["flow_id"]
    late = []
    for day in (1, 2, 3):
        at = f"2026-01-0{day}T02:00:00Z"
        scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": at}}
        body = {
            "flow_id": flow,
            "deployment_id": deployment,
            "state": scheduled,
            "tags": ["auto-scheduled"],
        }
        late.append(str(server.ask("POST", "/flow_runs/", body)["id"]))
    by_hand = begun(server, deployment, name="by hand")
    assert collapse([UUID(deployment)]) == 2
    assert [state(server, run)[0] for run in late] == ["CANCELLED", "CANCELLED", "SCHEDULED"]
    assert state(server, late[0])[1] == "Skipped"
    assert state(server, by_hand)[0] == "SCHEDULED"
    assert collapse([UUID(deployment)]) == 0
