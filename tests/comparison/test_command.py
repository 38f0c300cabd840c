"""`convoy compare` as a person types it: in seconds, without torch, refusals in one sentence."""

import json
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest

from convoy import store as mlflow_store
from convoy.plan import make_plan
from convoy.project import Project
from tests.comparison.trackings import Tracking, scored
from tests.stores import new_store
from tests.terminal import convoy, environment

pytestmark = pytest.mark.slow

CODE = """
import sys
from convoy.cli import main
try:
    main()
finally:
    heavy = {"torch", "pytorch_lightning", "torchmetrics", "sklearn", "prefect"}
    sys.stderr.write(repr(sorted(heavy & set(sys.modules))))
"""


@pytest.fixture
def worked(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A clone with a finished pipeline run of two networks, one of them the champion's."""
    _, client = new_store(project.root, tmp_path_factory, monkeypatch)
    experiment = mlflow_store.experiment(client, project, "digits")
    store = Tracking(make_plan(project), client, experiment, project.state)
    parent = store.pipeline()
    costs = {"latency_p50_ms": 0.1, "parameters": 60e3, "training_seconds": 3.0}
    runs = [
        store.training("mlp", scored(range(60)), parent, costs=costs),
        store.training("lenet5", scored(range(9)), parent, costs=costs),
    ]
    store.end(parent, runs)
    store.serve(runs[0])
    return project.root


def test_it_imports_neither_torch_nor_what_imports_it_and_takes_seconds(worked: Path) -> None:
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", CODE, "compare", "--json"],
        cwd=worked,
        env=environment(worked),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stderr == "[]"
    after = getrusage(RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took < 15, "seconds of a processor, whatever others are at work"
    found = json.loads(done.stdout)
    lenet5, mlp = found["networks"]
    assert (lenet5["name"], lenet5["champion"]) == ("lenet5", None)
    assert (mlp["name"], mlp["champion"]) == ("mlp", "1")
    assert set(mlp["costs"]) == set(mlp["dominated"]) == {"latency", "parameters", "training"}
    (pair,) = found["pairs"]
    assert pair["differs"] and pair["words"].startswith("lenet5 is better than mlp (+12.8 points")
    assert found["rescored"] is None


@pytest.mark.soak
def test_the_figure_is_drawn_where_it_is_asked_for(worked: Path, tmp_path: Path) -> None:
    plot = tmp_path / "pareto.svg"
    done = convoy(worked, "compare", "--plot", str(plot))
    assert done.code == 0 and done.err == "" and "lenet5 is better than mlp (+" in done.out
    assert plot.read_text().count("<svg") == 1
    refused = convoy(worked, "compare", "--plot", str(tmp_path / "nowhere" / "pareto.png"))
    assert refused.code == 2 and "there is no folder" in refused.sentence


def test_an_unknown_run_is_one_sentence_and_code_2(worked: Path) -> None:
    done = convoy(worked, "compare", "0123456789")
    assert done.code == 2 and done.sentence.startswith("MLflow knows no run '0123456789': ")
    assert done.out == ""
