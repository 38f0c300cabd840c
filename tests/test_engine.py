"""The one variable that says where trainings run: what it may be, and what is refused."""

from pathlib import Path

import pytest

from convoy.engine import Engine, chosen, gpus
from convoy.errors import UsageError
from tests.terminal import convoy

SERVERS = {
    "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
    "PREFECT_API_URL": "https://prefect.example.org/api",
}


@pytest.mark.parametrize("told", [{}, {"CONVOY_ENGINE": ""}, {"CONVOY_ENGINE": "local"}])
def test_without_the_variable_everything_stays_in_this_process(told: dict[str, str]) -> None:
    assert chosen(told) is None


def test_a_cluster_of_this_machine_has_a_worker_for_each_core_or_gpu_or_as_many_as_named() -> None:
    no_gpu = {"CUDA_VISIBLE_DEVICES": "", "CONVOY_CORES": "0,1,2"}
    assert chosen({**no_gpu, "CONVOY_ENGINE": "dask"}) == Engine(workers=3)
    assert chosen({**no_gpu, "CONVOY_ENGINE": "dask:5"}) == Engine(workers=5)
    two = {"CUDA_VISIBLE_DEVICES": "0,3", "CONVOY_CORES": "0,1,2"}
    assert gpus(two) == ["0", "3"]
    assert chosen({**two, "CONVOY_ENGINE": "dask"}) == Engine(workers=2)


def test_a_cluster_elsewhere_is_named_by_its_scheduler() -> None:
    there = "tls://scheduler.example.org:8786"
    assert chosen({**SERVERS, "CONVOY_ENGINE": there}) == Engine(address=there)


@pytest.mark.parametrize("told", ["Dask", "dask:0", "dask:x", "dask:9999", "ray", "http://a:1"])
def test_a_value_that_names_no_engine_is_refused_with_those_that_do(told: str) -> None:
    with pytest.raises(UsageError, match=r"it is local, dask, dask:N with 1 to 1024 workers"):
        chosen({"CONVOY_ENGINE": told})


@pytest.mark.parametrize("told", ["tcp://", "tcp://host", "tls://host:port", "tcp://host:99999"])
def test_half_an_address_is_refused(told: str) -> None:
    with pytest.raises(UsageError, match="has a host and a port"):
        chosen({**SERVERS, "CONVOY_ENGINE": told})


def test_workers_elsewhere_need_servers_that_they_reach() -> None:
    engine = {"CONVOY_ENGINE": "tcp://host:8786"}
    with pytest.raises(UsageError, match="MLflow's store is a file of this machine"):
        chosen({**engine, **SERVERS, "MLFLOW_TRACKING_URI": "sqlite:///x.db"})
    with pytest.raises(UsageError, match=r"MLFLOW_TRACKING_URI is http://127.0.0.1:5000, this"):
        chosen({**engine, **SERVERS, "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"})
    with pytest.raises(UsageError, match="PREFECT_API_URL is not set"):
        chosen({**engine, "MLFLOW_TRACKING_URI": SERVERS["MLFLOW_TRACKING_URI"]})
    here = {"CONVOY_ENGINE": "tcp://127.0.0.1:8786", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    assert chosen(here) == Engine(address="tcp://127.0.0.1:8786")


def test_the_command_line_refuses_it_in_one_sentence_before_anything_starts(
    repository: Path,
) -> None:
    done = convoy(repository, "run", more={"CONVOY_ENGINE": "rya"})
    assert done.code == 2
    assert done.sentence.startswith("CONVOY_ENGINE is 'rya': it is local, dask,")
