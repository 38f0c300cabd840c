"""The pipeline as a team runs it: two workers of a pool, members who register, one who promotes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from tests.flows.conftest import NewProject
from tests.team_matrix import staff
from tests.team_servers import BUCKET, Team, command_lines, team
from tests.terminal import convoy, environment, git
from tests.ups import wait

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]

POOL = "cpus"
RUNS = {
    "mlp": ["--architectures", "mlp", "--set", "run.seed=1"],
    "lenet5": ["--architectures", "lenet5", "--set", "run.seed=2"],
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team(tmp_path_factory.mktemp("team")) as found:
        staff(found)
        yield found


def variables(found: Team, user: str) -> dict[str, str]:
    """Return what a machine of the team has in its environment."""
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    secret = {"AWS_SECRET_ACCESS_KEY": found.secret("s3 of DVC"), "NO_PROXY": "127.0.0.1"}
    quick = {"PREFECT_WORKER_QUERY_SECONDS": "2", "CONVOY_MLFLOW_PATIENCE": "300"}
    quick |= {"CONVOY_SLOTS": "box:cpu", "CONVOY_SLOTS_DIR": str(found.folder / "slots")}
    return {**found.client(user), **own, **secret, **quick}


@pytest.fixture(scope="module")
def checkouts(servers: Team, new_project: NewProject) -> list[Path]:
    """Two machines' checkouts and a person's, of one commit with the team's remote."""
    found = []
    for name in ("machine1", "machine2", "desk"):
        root = new_project(name)
        dvc = [sys.executable, "-m", "dvc", "remote"]
        named = ["add", "--default", "team", f"s3://{BUCKET}/dvc"]
        endpoint = ["modify", "team", "endpointurl", os.environ["AWS_ENDPOINT_URL"]]
        for arguments in (named, endpoint):
            subprocess.run([*dvc, *arguments], cwd=root, check=True, capture_output=True)
        git(root, "commit", "--quiet", "--all", "--message", "The team's remote")
        found.append(root)
    return found


def start(stack: ExitStack, arguments: list[str], root: Path, env: dict[str, str], log: str) -> Any:
    stream = stack.enter_context((root / log).open("ab"))
    process = subprocess.Popen(
        [sys.executable, "-m", "convoy", *arguments],
        cwd=root,
        env=environment(root, env),
        stdout=stream,
        stderr=stream,
        start_new_session=True,
    )

    def end() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    stack.callback(end)
    return process


@pytest.fixture(scope="module")
def worked(servers: Team, checkouts: list[Path]) -> dict[str, Any]:
    """Two runs at the same time, each taken by one of two workers, submitted by a member."""
    member, lines = variables(servers, "mila"), []
    desk = checkouts[-1]
    with ExitStack() as stack:
        workers = [
            start(stack, ["worker", POOL], root, member, "worker.log") for root in checkouts[:2]
        ]
        logs = [root / "worker.log" for root in checkouts[:2]]
        wait(lambda: all("started!" in log.read_text() for log in logs))  # the first makes the pool
        submitted = {
            name: start(stack, ["submit", POOL, "--json", *how], desk, member, f"{name}.log")
            for name, how in RUNS.items()
        }
        for process in submitted.values():
            while True:
                try:
                    process.wait(2)
                    break
                except subprocess.TimeoutExpired:
                    lines.append(command_lines())
        said = {name: (desk / f"{name}.log").read_text() for name in RUNS}
        told = "".join(log.read_text() for log in logs)
        assert all(worker.poll() is None for worker in workers), told
    codes = {name: process.returncode for name, process in submitted.items()}
    assert codes == {"mlp": 0, "lenet5": 0}, "\n".join([*said.values(), told])
    return {"logs": said, "workers": told, "lines": "\n".join(lines)}


def ask(found: Team, path: str, body: Any = None, method: str = "POST") -> Any:
    login = f"vera:{found.secret('vera')}"
    address = f"{found.mlflow}/api/2.0/mlflow/{path}"
    status, content = found.ask(method, address, login, body)
    assert status == 200, content
    return content


def runs_of(found: Team) -> list[dict[str, Any]]:
    path = "experiments/get-by-name?experiment_name=digits"
    experiment = ask(found, path, method="GET")["experiment"]["experiment_id"]
    body = {"experiment_ids": [experiment], "max_results": 100}
    return list(ask(found, "runs/search", body)["runs"])


def versions(found: Team) -> list[dict[str, Any]]:
    query = "model-versions/search?filter=name%3D%27digits%27"
    return list(ask(found, query, method="GET")["model_versions"])


def tags_of(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in thing["tags"]}


def test_both_machines_worked_and_registered_what_waits_for_a_promoter(
    servers: Team, worked: dict[str, Any]
) -> None:
    runs = runs_of(servers)
    pipelines = [run for run in runs if "convoy.trainings" in tags_of(run["data"])]
    assert len(pipelines) == 2 and len({tags_of(r["data"])["convoy.owner"] for r in pipelines}) == 2
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}
    found = versions(servers)
    assert [one["version"] for one in found if one["status"] == "READY"] == ["2", "1"]
    for one in found:
        assert json.loads(tags_of(one)["convoy.verdict"])["allowed"]
        assert json.loads(tags_of(one)["convoy.approval"])["state"] == "waiting"
    model = ask(servers, "registered-models/get?name=digits", method="GET")["registered_model"]
    assert "aliases" not in model


def test_no_two_trainings_were_at_work_on_the_device_at_the_same_time(
    servers: Team, worked: dict[str, Any]
) -> None:
    runs = runs_of(servers)
    spans = []
    for run in runs:
        if "convoy.architecture" in tags_of(run["data"]):
            path = f"metrics/get-history?run_id={run['info']['run_id']}&metric_key=val/loss"
            epochs = ask(servers, path, method="GET")["metrics"]
            last = max(int(epoch["timestamp"]) for epoch in epochs)
            spans.append((int(run["info"]["start_time"]), last))
    (begun, ended), (later, _) = sorted(spans)
    assert begun < ended <= later
    status, limits = servers.ask(
        "POST", f"{servers.prefect}/api/v2/concurrency_limits/filter", servers.login(), {}
    )
    assert status == 200
    assert [(one["name"], one["limit"], one["active_slots"]) for one in limits] == [
        ("box:cpu", 1, 0)
    ]


def test_a_member_is_told_that_a_promotion_is_not_theirs_and_a_promoter_does_it(
    servers: Team, worked: dict[str, Any], checkouts: list[Path]
) -> None:
    desk = checkouts[-1]
    refused = convoy(desk, "promote", "digits", "1", more=variables(servers, "mila"))
    assert refused.code == 1
    assert "refuses this user" in refused.sentence and "Permission denied" in refused.sentence
    done = convoy(
        desk,
        *("promote", "digits", "1", "--reason", "checked", "--json"),
        more=variables(servers, "petra"),
    )
    assert done.code == 0, done.err
    assert done.json()["by"] == "petra"
    seen = convoy(desk, "history", "digits", "--json", more=variables(servers, "vera"))
    assert [entry["version"] for entry in seen.json()] == ["1"], seen.err


def test_no_secret_is_in_logs_runs_artifacts_or_process_lists(
    servers: Team, worked: dict[str, Any], checkouts: list[Path]
) -> None:
    texts = {"process lists": worked["lines"], "workers": worked["workers"], **worked["logs"]}
    texts |= {str(log): log.read_text(errors="replace") for log in servers.folder.glob("*.log")}
    for root in checkouts:
        for file in (root / ".convoy").rglob("*"):
            if file.is_file() and file.stat().st_size < 2**24:
                texts[str(file)] = file.read_bytes().decode(errors="replace")
    texts["runs"] = json.dumps(runs_of(servers))
    texts["models"] = json.dumps(versions(servers))
    for what in ("flow_runs", "task_runs", "logs", "deployments", "work_pools", "artifacts"):
        status, content = servers.ask(
            "POST", f"{servers.prefect}/api/{what}/filter", servers.login(), {}
        )
        assert status == 200
        texts[f"Prefect's {what}"] = json.dumps(content)
    store = boto3.client("s3")
    objects = store.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert any(entry["Key"].startswith("artifacts/") for entry in objects)
    assert any(entry["Key"].startswith("dvc/") for entry in objects)
    for entry in objects:
        body = store.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        texts[entry["Key"]] = body.decode(errors="replace")
    store.close()
    leaks = [
        f"{name} in {where}"
        for where, text in texts.items()
        for name, secret in servers.secrets.items()
        if secret in text
    ]
    assert not leaks


def test_a_pool_that_nobody_works_for_is_told_within_a_minute(
    servers: Team, worked: dict[str, Any], checkouts: list[Path]
) -> None:
    """The workers of before have ended, and Prefect shows them for a while."""
    began = time.monotonic()
    done = convoy(checkouts[-1], "submit", POOL, more=variables(servers, "mila"))
    assert done.code == 1
    last = done.err.strip().splitlines()[-1]
    assert "has no worker" in last or "is gone" in last
    assert time.monotonic() - began < 150, "a minute, and what two imports take on a busy machine"
    unknown = convoy(checkouts[-1], "submit", "cpu", more=variables(servers, "mila"))
    assert unknown.code == 2 and "did you mean 'cpus'" in unknown.sentence
