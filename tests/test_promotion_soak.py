"""Eight processes that promote at once, for many rounds: one wins, and journal and alias agree.

CONVOY_SOAK_ROUNDS says how many, for a quick look.
"""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from convoy import claims, promotion, registry, store
from convoy.client import Client
from convoy.errors import ConvoyError
from tests.servers import mlflow_server, postgresql
from tests.stores import new_store

pytestmark = pytest.mark.soak

PROCESSES, ROUNDS = 8, int(os.environ.get("CONVOY_SOAK_ROUNDS", "25"))


@pytest.fixture(params=["embedded", "server"])
def uri(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A SQLite database that all open, or a server on PostgreSQL."""
    if request.param == "embedded":
        project, _ = new_store(tmp_path, tmp_path_factory, monkeypatch)
        yield f"sqlite:///{project.database}"
    else:
        with postgresql() as backend, mlflow_server(tmp_path, backend) as address:
            yield address


def promoter(
    uri: str, place: int, rounds: int, barrier: Barrier, results: "Queue[tuple[int, str]]"
) -> None:
    """Promote the version of one's own in each round, against the champion of its beginning."""
    client = Client(uri)
    for _ in range(rounds):
        barrier.wait(600)
        seen = registry.by_alias(client, "signs", "champion")
        before = seen.version if seen else None
        # Of two versions each: whoever serves already promotes the other one.
        wanted = str(2 * place + 1)
        wanted = str(2 * place + 2) if before == wanted else wanted
        barrier.wait(600)
        try:
            promotion.promote(client, "signs", wanted, f"by {place}", instead_of=before)
        except ConvoyError as error:
            results.put((place, str(error)))
        else:
            results.put((place, ""))
        barrier.wait(600)


@pytest.mark.timeout(3600)
def test_of_eight_that_promote_at_once_one_wins_and_the_others_are_told(uri: str) -> None:
    client = Client(uri)
    for number in range(2 * PROCESSES):
        store.model_version(client, "signs", str(number), "s3://nowhere/model", "", {})
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(PROCESSES + 1), context.Queue()
    processes = [
        context.Process(target=promoter, args=(uri, place, ROUNDS, barrier, results), daemon=True)
        for place in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for number in range(ROUNDS):
        for _ in range(3):
            barrier.wait(600)
        told = [results.get(timeout=300) for _ in range(PROCESSES)]
        losers = [said for _, said in told if said]
        assert len(losers) == PROCESSES - 1, told
        assert all("meanwhile" in said or "is at work" in said for said in losers), losers
        entries = promotion.journal(client, "signs")
        assert [entry.state for entry in entries if entry.state != "cancelled"] == ["done"] * (
            number + 1
        )
        champion = registry.by_alias(client, "signs", "champion")
        assert champion is not None and champion.version == entries[-1].version
        assert not any(claims.is_fence(m.name) for m in client.search_registered_models())
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
