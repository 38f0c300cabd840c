"""An order carried out in another clone, without a cluster: what travels is JSON and hashes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from convoy import store, tracking, versions
from convoy.errors import NotReproducible, Stopped
from convoy.pipeline import dispatch, errand
from convoy.pipeline.order import Order
from convoy.pipeline.session import Session
from convoy.pipeline.workplace import Place, end_programs
from convoy.plan import make_plan
from convoy.project import Project
from convoy.training.spec import finished
from tests.clones import clone_of

pytestmark = pytest.mark.slow

SHORT = ("recipes.mlp.epochs=2", "evaluation.robustness=0")
LONG = ("recipes.mlp.epochs=5000", "evaluation.robustness=0")


class Ordering(Session):
    """A run after its ingestion: all that orders are made of, and no programs of its own."""

    def __init__(self, project: Project, overrides: tuple[str, ...]) -> None:
        super().__init__(make_plan(project, "digits", ["mlp"], overrides), "a flow run")
        self.client = store.connect(project)
        self.experiment = store.experiment(self.client, project, "digits")
        self.version = versions.current(project, "digits")
        given = ("c0ffee", False, "digits", self.version.hash, self.version.digest, "a flow run")
        self.stamps = tracking.Stamps(*given)
        self.run_id = tracking.open_pipeline(self.client, self.experiment, "a run", self.stamps)

    def order(self) -> Order:
        (found,) = dispatch.orders(self)
        text = json.dumps(found.model_dump())
        assert len(text) < 32_000, "small enough for any message"
        return Order.model_validate(json.loads(text))


@pytest.fixture
def clone(ingested: Project, tmp_path: Path) -> Iterator[Project]:
    yield clone_of(ingested, tmp_path / "clone")
    end_programs()


@pytest.mark.soak
def test_a_clone_trains_and_the_files_come_home_verified(ingested: Project, clone: Project) -> None:
    work = Ordering(ingested, SHORT)
    order = work.order()
    delivery = errand.carry_out(order, clone, Place())
    assert not delivery.kept
    dispatch.receive(work, delivery)
    assert work.delivered == {"mlp"}
    home, there = (project.runs / order.key[:32] for project in (ingested, clone))
    assert finished(home) == finished(there) is not None
    for name in ("model.safetensors", "predictions.npz", "evaluation.json", "inspection.json"):
        assert (home / name).read_bytes() == (there / name).read_bytes(), name
    run = work.client.get_run(delivery.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == work.run_id
    assert dispatch.orders(work) == [], "nothing is left to order"

    # The answer was lost, and the order comes to a worker that has nothing of it.
    shutil.rmtree(there)
    again = errand.carry_out(order, clone, Place())
    assert again.kept and again.run_id == delivery.run_id

    with pytest.raises(NotReproducible, match=r"has other code or libraries .*check that commit"):
        errand.carry_out(order.model_copy(update={"key": "another"}), clone, Place())


@pytest.mark.soak
def test_a_training_whose_order_was_taken_back_ends_and_can_go_on(
    ingested: Project, clone: Project
) -> None:
    work = Ordering(ingested, LONG)
    order = work.order()
    dispatch.give_up(work, "KILLED")
    with pytest.raises(Stopped):
        errand.carry_out(order, clone, Place())
    (run,) = work.client.search_runs([work.experiment], "tags.`convoy.architecture` = 'mlp'")
    assert run.info.status == "KILLED"
    assert finished(clone.runs / order.key[:32]) is None
