"""A machine that goes down in the midst of a training, and `convoy up` after it."""

import pytest

from tests.flows.conftest import NewProject
from tests.ups import running, said, wait

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(900)]

EPOCHS = 61


def test_after_a_restart_of_the_machine_the_run_goes_on_where_it_was(
    new_project: NewProject,
) -> None:
    root = new_project("restart")
    with running(root) as up:
        run = up.trigger(f"recipes.mlp.epochs={EPOCHS}")
        wait(lambda: up.told(run, f"train mlp: epoch 3/{EPOCHS}"))
        up.cut_off()
    with running(root) as up:
        assert up.end(run, again=True) == "COMPLETED", said(root)
        assert up.told(run, f"train mlp: epoch 1/{EPOCHS}") == 1
        assert up.told(run, "train mlp: started (goes on after epoch") == 1
        (training,) = up.store.search_runs(["1"], f"params.epochs = '{EPOCHS}'")
        assert training.info.status == "FINISHED"
        steps = up.store.get_metric_history(training.info.run_id, "val/loss")
        assert sorted(one.step for one in steps) == list(range(1, EPOCHS + 1))
        assert not up.store.search_runs(["1"], "attributes.status = 'RUNNING'")
        at_work = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
        assert not up.ask(f"{up.prefect}/api/flow_runs/filter", at_work)
        (entry,) = up.store.get_registered_model("digits").latest_versions
        assert entry.run_id == training.info.run_id
