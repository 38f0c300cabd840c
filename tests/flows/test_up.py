"""`convoy up` as a person uses it: pages, schedules, a trigger, kills, a cancel, and Ctrl-C."""

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from convoy.training.checkpoints import resumable
from tests.flows.conftest import NewProject
from tests.terminal import convoy
from tests.ups import Up, running, said, wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHORT = {"architectures": ["mlp"]}


@pytest.fixture(scope="module")
def up(new_project: NewProject) -> Iterator[Up]:
    """Both servers and the runner, where somebody else has the port."""
    root = new_project("up")
    params = root / "params.yaml"
    watched = {"kind": "files", "address": "photos", "every": 1.0, "quiet": 1.0}
    told = yaml.safe_load(params.read_text())
    told["triggers"] = {"photos": {**watched, "deployment": "new-data", "parameters": SHORT}}
    params.write_text(yaml.safe_dump(told, sort_keys=False))
    (root / "photos").mkdir()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ports = {"CONVOY_PREFECT_PORT": port, "CONVOY_MLFLOW_PORT": port}
        with running(root, ports) as found:
            assert f"port {port} is in use" in said(root)
            yield found


def _is_finished(folder: Path) -> bool:
    return (folder / "result.json").is_file()


def test_both_pages_answer_and_the_next_nights_are_scheduled(up: Up) -> None:
    for page in (up.prefect, up.mlflow):
        with urllib.request.urlopen(page, timeout=30) as answer:
            assert b"<html" in answer.read().lower()
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    address = f"{up.prefect}/api/flow_runs/filter"
    wait(lambda: up.ask(address, scheduled), 90)
    found = {one["name"]: one for one in up.ask(f"{up.prefect}/api/deployments/filter", {})}
    assert set(found) == {"nightly", "new-data", "weekly", "monthly", "batch"}
    assert found["nightly"]["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    form = found["nightly"]["parameter_openapi_schema"]["properties"]
    assert form["dataset"]["anyOf"][0]["enum"] == ["digits"]
    assert "lenet5" in form["architectures"]["anyOf"][0]["items"]["enum"]
    described = [one["description"] for one in form.values()]
    assert all(described), described


def test_a_change_of_a_schedule_is_followed_at_once(up: Up) -> None:
    done = convoy(up.root, "schedule", "nightly", "--cron", "7 3 * * *", "--json")
    assert done.code == 0, done.err
    found = up.ask(f"{up.prefect}/api/deployments/name/pipeline/nightly")
    assert [one["schedule"]["cron"] for one in found["schedules"]] == ["7 3 * * *"]
    assert convoy(up.root, "schedule", "nightly", "--pause").code == 0
    found = up.ask(f"{up.prefect}/api/deployments/name/pipeline/nightly")
    assert [one["active"] for one in found["schedules"]] == [False]


def test_parameters_that_are_none_are_refused_before_anything_runs(up: Up) -> None:
    for told in (
        "dataset=digitz",
        "architectures=[lenet6]",
        "strict=perhaps",
        "overrides=[epochs]",
    ):
        done = convoy(up.root, "trigger", "nightly", "--set", told)
        assert done.code == 2 and "refuses that" in done.sentence, told


@pytest.fixture(scope="module")
def trained(up: Up) -> str:
    """The flow run of a pipeline that has made the first champion."""
    run = up.trigger()
    assert up.end(run) == "COMPLETED"
    return run


def test_a_trigger_runs_the_pipeline_and_both_servers_know_of_it(up: Up, trained: str) -> None:
    run = trained
    compared = convoy(up.root, "compare", "--json")
    assert compared.code == 0, compared.err
    assert compared.json()["address"].startswith(up.mlflow)
    (found,) = compared.json()["runs"]
    tags = up.ask(f"{up.mlflow}/api/2.0/mlflow/runs/get?run_id={found['run_id']}")
    stamps = {tag["key"]: tag["value"] for tag in tags["run"]["data"]["tags"]}
    assert stamps["convoy.flow_run"] == run
    wait(lambda: up.told(run, "train mlp: epoch 4/4"), 30)
    asked = {"artifacts": {"flow_run_id": {"any_": [run]}}}
    (story,) = up.ask(f"{up.prefect}/api/artifacts/filter", asked)
    assert "## digits version 1 may serve" in story["data"]
    assert f"{up.mlflow}/#/experiments/" in story["data"] and "report.html" in story["data"]


@pytest.mark.usefixtures("trained")
def test_new_files_start_one_run_which_has_nothing_to_do(up: Up) -> None:
    (up.root / "photos" / "1.png").write_bytes(b"new")
    tagged = {"flow_runs": {"tags": {"all_": ["triggered", "photos"]}}}
    address = f"{up.prefect}/api/flow_runs/filter"
    wait(lambda: up.ask(address, tagged), 60)
    (run,) = up.ask(address, tagged)
    assert up.end(run["id"]) == "COMPLETED"
    assert len(up.ask(address, tagged)) == 1


@pytest.mark.soak
@pytest.mark.usefixtures("trained")
def test_the_champion_is_scored_again_and_a_batch_is_predicted(up: Up) -> None:
    again = convoy(up.root, "trigger", "evaluate/weekly", "--json").json()["flow_run"]
    told = ("--set", "model=digits@champion", "--set", "paths=[.convoy/samples/digits]")
    batch = convoy(up.root, "trigger", "score/batch", "--json", *told).json()["flow_run"]
    assert (up.end(again), up.end(batch)) == ("COMPLETED", "COMPLETED")
    table = up.root / ".convoy" / "scores" / "digits-1" / "predictions.csv"
    assert len(table.read_text().splitlines()) == 11
    (run,) = up.store.search_runs(["1"], "tags.`convoy.model_version` = 'digits/1'")
    assert run.info.status == "FINISHED" and run.data.metrics["test/accuracy"] > 0.8


@pytest.mark.soak
def test_cancelling_in_prefect_ends_the_training_which_the_next_run_goes_on_with(up: Up) -> None:
    run = up.trigger("recipes.mlp.epochs=400")
    wait(lambda: up.told(run, "train mlp: epoch 3/400"), 200)
    family = psutil.Process(up.process.pid).children(recursive=True)
    programs = [one for one in family if "convoy.programs.preloaded" in one.cmdline()]
    assert len(programs) == 2, "the preloaded parent and the training"
    body = {"state": {"type": "CANCELLING"}}
    up.ask(f"{up.prefect}/api/flow_runs/{run}/set_state", body)
    _, alive = psutil.wait_procs(programs, timeout=60)
    assert not alive
    assert up.end(run) == "CANCELLED"
    (folder,) = (f for f in (up.root / ".convoy" / "runs").iterdir() if not _is_finished(f))
    assert resumable(folder / "checkpoints")
    found = up.store.search_runs(["1"], f"tags.`convoy.flow_run` = '{run}'")
    assert [one.info.status for one in found] == ["KILLED", "KILLED"]


@pytest.mark.soak
@pytest.mark.parametrize("killed", ["the flow run", "the runner", "the server"])
def test_a_run_goes_on_after_a_kill_without_training_anything_twice(up: Up, killed: str) -> None:
    epochs = {"the flow run": 61, "the runner": 62, "the server": 63}[killed]
    run = up.trigger(f"recipes.mlp.epochs={epochs}")
    wait(lambda: up.told(run, f"train mlp: epoch 3/{epochs}"), 250)
    if killed == "the flow run":
        mark = json.loads((up.root / ".convoy" / "flows" / f"{run}.json").read_text())
        os.kill(int(mark.rsplit(":", 2)[1]), signal.SIGKILL)
    else:
        os.kill(up.pid("flows.serve" if killed == "the runner" else "prefect"), signal.SIGKILL)
    assert up.end(run, again=True) == "COMPLETED"
    found = up.store.search_runs(["1"], f"params.epochs = '{epochs}'")
    assert [one.info.status for one in found] == ["FINISHED"]
    steps = up.store.get_metric_history(found[0].info.run_id, "val/loss")
    assert sorted(one.step for one in steps) == list(range(1, epochs + 1))
    left = up.store.search_runs(["1"], "attributes.status = 'RUNNING'")
    assert not left


def test_ctrl_c_ends_every_process_of_it(up: Up) -> None:
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) >= 4
    os.kill(up.process.pid, signal.SIGINT)
    assert up.process.wait(timeout=120) == 0, said(up.root)[-2000:]
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive and len(gone) == len(children)
    assert not (up.root / ".convoy" / "up.json").exists()
