"""A cluster that does not answer, or has nobody to work: one sentence, soon."""

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from convoy.engine import Engine
from convoy.errors import ConvoyError
from convoy.project import Project
from flows import engine
from tests.servers import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def scheduler() -> Iterator[str]:
    """A cluster's scheduler, alone."""
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        yield str(cluster.scheduler_address)


def test_a_cluster_without_a_worker_is_not_waited_for_silently(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ARRIVAL", 0.5)
    opened = engine.open_engine(Project(tmp_path), Engine(address=scheduler))
    with pytest.raises(ConvoyError, match=f"no worker has come to {scheduler} .*`dask worker"):
        opened.__enter__()


def test_an_address_where_no_scheduler_answers_is_named(tmp_path: Path) -> None:
    nobody = f"tcp://127.0.0.1:{free_port()}"
    opened = engine.open_engine(Project(tmp_path), Engine(address=nobody))
    soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with soon, pytest.raises(ConvoyError, match="but no Dask scheduler answers there"):
        opened.__enter__()
