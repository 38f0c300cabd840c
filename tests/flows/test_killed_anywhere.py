"""`kill -9` of the whole pipeline at random moments: nothing lost, doubled, half done or left open.

One moment follows another through training, registration, gate and promotion; the same command is
given again, and killed again, until it comes to its end. CONVOY_SOAK_SEED draws other moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from convoy import promotion
from tests.flows.conftest import NewProject
from tests.servers import prefect_server
from tests.terminal import Done, convoy, environment, git

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

SEED = os.environ.get("CONVOY_SOAK_SEED", "20261129")
GENERATIONS, KILLS, EPOCHS = 10, 5, 4
MOMENTS = (
    ("start", 6.0),
    ("ingest: started", 3.0),
    ("train mlp: started", 1.0),
    ("train mlp: epoch 1/", 0.3),
    ("train mlp: epoch 3/", 1.5),
    ("train mlp: done", 2.0),
    ("register: started", 4.0),
    ("register: done", 0.3),
    ("gate: started", 0.2),
    ("gate: done", 1.0),
)
"""What the command says, and the seconds after it within which it is killed."""


@dataclass
class World:
    """One project for all of it, its Prefect server, and how often each promise was looked at."""

    root: Path
    prefect: str
    held: Counter[str] = field(default_factory=Counter)
    looked: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def look(self, promise: str, holds: bool, found: object) -> None:
        self.looked[promise] += 1
        self.held[promise] += holds
        if not holds:
            self.broken.append(f"{promise}: {found}")

    @property
    def client(self) -> MlflowClient:
        uri = f"sqlite:///{self.root / '.convoy' / 'mlflow.db'}"
        return MlflowClient(uri, uri)

    @property
    def more(self) -> dict[str, str]:
        return {"PREFECT_API_URL": self.prefect, "NO_PROXY": "127.0.0.1"}

    def runs(self) -> list[Run]:
        experiment = self.client.get_experiment_by_name("digits")
        if experiment is None:
            return []
        found = self.client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
        return list(found)


@pytest.fixture(scope="module")
def world(new_project: NewProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = new_project("killed")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["run"]["architectures"] = ["mlp"]
    params["recipes"]["mlp"]["epochs"] = EPOCHS
    params["evaluation"]["robustness"] = 0
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git(root, "commit", "--quiet", "--all", "--message", "One short recipe")
    with prefect_server(tmp_path_factory.mktemp("prefect")) as address:
        yield World(root, address)


def command(seed: int) -> tuple[str, ...]:
    return ("run", "--json", "--set", f"run.seed={seed}")


def killed(world: World, seed: int, said: str, delay: float) -> bool:
    """Begin the command; kill it so long after it has said something. Return whether it lived."""
    log = world.root / ".convoy" / "stderr.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "convoy", *command(seed)],
            cwd=world.root,
            env=environment(world.root, world.more),
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
    deadline = time.monotonic() + 240
    while said != "start" and said not in log.read_text() and process.poll() is None:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _, left = psutil.wait_procs(family, timeout=20)
        world.look("no process outlives it", not left, left)
        return True
    assert process.returncode == 0, log.read_text()
    return False


@pytest.mark.parametrize("generation", range(GENERATIONS))
def test_a_pipeline_that_is_killed_again_and_again_comes_to_its_end(
    world: World, generation: int
) -> None:
    draw = random.Random(f"{SEED}-{generation}")
    seed = 1000 * (generation + 1)
    known: set[str] = set()
    for _ in range(KILLS):
        said, within = draw.choice(MOMENTS)
        while not killed(world, seed, said, draw.uniform(0, within)):
            finish(world, seed, known)
            seed, known = seed + 1, set()
            said, within = draw.choice(MOMENTS)
        world.kills[said] += 1
        known |= {run.info.run_id for run in world.runs()}
    finish(world, seed, known)
    assert world.broken == [], f"seed {SEED}"


def finish(world: World, seed: int, known: set[str]) -> None:
    """Give the command a last time; look at every promise, then let the next version be first."""
    done = convoy(world.root, *command(seed), more=world.more)
    assert done.code == 0, done.err
    of_runs(world, seed, known)
    of_versions(world, done)
    world.client.delete_registered_model_alias("digits", "champion")


def of_runs(world: World, seed: int, known: set[str]) -> None:
    runs = world.runs()
    world.look("no run is lost", known <= {run.info.run_id for run in runs}, known)
    left = [run.info.run_id for run in runs if run.info.status == "RUNNING"]
    world.look("no run is left RUNNING", not left, left)
    deleted = [run.info.run_id for run in runs if run.info.lifecycle_stage != "active"]
    world.look("no run came twice", not deleted, deleted)
    own = [run for run in runs if run.data.params.get("seed") == str(seed)]
    statuses = [run.info.status for run in own]
    world.look("a training is one run, and finished", statuses == ["FINISHED"], statuses)
    logged = world.client.get_metric_history(own[0].info.run_id, "val/loss")
    steps = sorted(metric.step for metric in logged)
    world.look("each epoch is logged once", steps == list(range(1, EPOCHS + 1)), steps)


def of_versions(world: World, done: Done) -> None:
    outcome, client = done.json(), world.client
    versions = client.search_model_versions("name='digits'")
    keys = Counter(version.tags["convoy.key"] for version in versions)
    world.look("no version came twice", set(keys.values()) == {1}, keys)
    own = [str(v.version) for v in versions if v.run_id == outcome["rows"][0]["run_id"]]
    world.look("a training is one version", own == [outcome["version"]], own)
    entries = promotion.journal(client, "digits")
    open_ones = [entry for entry in entries if entry.state == "intent"]
    world.look("no promotion is half done", not open_ones, open_ones)
    promoted = [e for e in entries if e.version == outcome["version"] and e.action == "promote"]
    done_once = [entry.state for entry in promoted].count("done") == 1
    world.look("a version is promoted once", done_once, promoted)
    champion = client.get_model_version_by_alias("digits", "champion")
    last = [entry for entry in entries if entry.state == "done"][-1]
    agree = str(champion.version) == last.version == outcome["version"]
    world.look("journal and alias agree", agree, (champion.version, last))


def test_prefect_shows_no_run_as_running_after_one_more(world: World) -> None:
    done = convoy(world.root, *command(1), more=world.more)
    assert done.code == 0, done.err
    running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
    left = asked(f"{world.prefect}/flow_runs/filter", running)
    world.look("Prefect shows no dead run as running", not left, [run["name"] for run in left])
    assert world.broken == []


def asked(address: str, body: object) -> list[dict[str, Any]]:
    content = json.dumps(body).encode()
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_it_was_killed_as_often_as_it_should_be(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Says what held, how often."""
    with capsys.disabled():
        print(f"\nseed {SEED}, {world.kills.total()} kills: {dict(world.kills)}")  # noqa: T201
        for promise, looked in world.looked.items():
            print(f"{promise}: passed {world.held[promise]} of {looked}")  # noqa: T201
    assert world.kills.total() % KILLS == 0
