"""A sweep's training on a worker in another clone, without a cluster: followed, and given up."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from convoy import tracking
from convoy.errors import Stopped
from convoy.pipeline import errand
from convoy.pipeline.order import Delivery, Order
from convoy.pipeline.trainers import Elsewhere, Job
from convoy.pipeline.workplace import Place, end_programs
from convoy.project import Project
from convoy.space import with_values
from convoy.training.spec import finished, training_key
from tests.clones import clone_of
from tests.pipeline.test_errand import Ordering

pytestmark = pytest.mark.slow

FRUITFUL = {"epochs": 3, "learning_rate": 0.01}
HOPELESS = {"epochs": 5000, "learning_rate": 1e-7}


class Worker:
    """A worker in a clone, as a thread of this process: one order after another."""

    def __init__(self, clone: Project) -> None:
        self.clone = clone
        self.orders: list[Order] = []
        self.thread = ThreadPoolExecutor(1)

    def send(self, order: Order) -> "Sent":
        self.orders.append(Order.model_validate_json(order.model_dump_json()))
        return Sent(self, self.orders[-1])

    def close(self) -> None:
        self.thread.submit(end_programs).result()
        self.thread.shutdown()


class Sent:
    def __init__(self, worker: Worker, order: Order) -> None:
        self.ended = threading.Event()
        self.future = worker.thread.submit(errand.carry_out, order, worker.clone, Place())
        self.future.add_done_callback(lambda _: self.ended.set())

    def wait(self, seconds: float) -> bool:
        return self.ended.wait(seconds)

    def delivery(self) -> Delivery:
        return self.future.result()

    def cancel(self) -> None:
        self.future.cancel()


@pytest.fixture
def worker(ingested: Project, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(clone_of(ingested, tmp_path / "clone"))
    yield worker
    worker.close()


def job_of(work: Ordering, values: dict[str, Any]) -> Job:
    """A trial's training, its run open."""
    recipe = with_values(work.plan.settings.recipe("mlp"), values)
    key = training_key("mlp", recipe, work.plan.settings.run.seed, work.version.digest)
    named = work.client, work.experiment, work.run_id, key, "mlp", recipe.flat()
    run_id = tracking.open_training(*named, work.plan.settings.run.seed, work.stamps, "mlp trial 7")
    overrides = tuple(f"recipes.mlp.{name}={value}" for name, value in values.items())
    return Job("trial 7", "mlp", recipe, overrides, work.project.runs / key[:32], run_id)


def test_a_trial_in_a_clone_is_followed_and_comes_home_without_scores(
    ingested: Project, worker: Worker
) -> None:
    work = Ordering(ingested, ())
    job, seen = job_of(work, FRUITFUL), list[dict[str, Any]]()

    def watch(row: dict[str, Any]) -> bool:
        seen.append(row)
        return False

    result = Elsewhere(worker.send, 1).fit(work, job, watch)
    assert result == finished(job.folder) == finished(worker.clone.runs / job.folder.name)
    assert [(row["epoch"], row["epochs"]) for row in seen] == [(1, 3), (2, 3), (3, 3)]
    run = work.client.get_run(job.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "mlp trial 7")
    assert run.data.metrics["val/best_accuracy"] == result.val_accuracy
    assert run.data.tags["convoy.weights_sha256"] == result.weights_sha256
    assert not any(name.startswith("test/") for name in run.data.metrics)
    (order,) = worker.orders
    assert order.settings["recipes"]["mlp"]["learning_rate"] == 0.01
    assert order.overrides == ["recipes.mlp.epochs=3", "recipes.mlp.learning_rate=0.01"]


@pytest.mark.soak
def test_a_trial_that_is_given_up_ends_on_its_worker(ingested: Project, worker: Worker) -> None:
    work = Ordering(ingested, ())
    job, seen = job_of(work, HOPELESS), list[int]()

    def watch(row: dict[str, Any]) -> bool:
        seen.append(row["epoch"])
        return seen[-1] == 2

    with pytest.raises(Stopped):
        Elsewhere(worker.send, 1).fit(work, job, watch)
    assert work.client.get_run(job.run_id).info.status == "KILLED"
    assert 2 <= max(seen) < 4000 and len(seen) == len(set(seen))
    assert finished(worker.clone.runs / job.folder.name) is None
