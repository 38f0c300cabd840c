"""A journal that a kill at any moment leaves readable."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from convoy import promotion
from convoy.errors import ConvoyError, UsageError
from convoy.journal import Entry, served_at, services, write
from convoy.registry import by_alias
from tests.stores import add_versions, new_store
from tests.terminal import environment


@pytest.fixture
def client(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """An MLflow store with three versions of `digits`, none of them champion yet."""
    _, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    add_versions(client, "digits", 3)
    return client


def champion(client: MlflowClient) -> str | None:
    found = by_alias(client, "digits", "champion")
    return found.version if found else None


def test_a_promotion_moves_the_alias_and_is_told_by_the_journal(client: MlflowClient) -> None:
    promotion.promote(client, "digits", "1", "the first")
    entry = promotion.promote(client, "digits", "2", "a better one")
    assert champion(client) == "2"
    assert promotion.journal(client, "digits")[-1] == entry
    assert (entry.sequence, entry.action, entry.version, entry.previous, entry.state) == (
        2,
        "promote",
        "2",
        "1",
        "done",
    )
    assert entry.reason == "a better one" and entry.by and entry.at.endswith("+00:00")


def test_the_champion_cannot_be_promoted_again(client: MlflowClient) -> None:
    promotion.promote(client, "digits", "1", "by hand")
    with pytest.raises(UsageError, match="digits version 1 is the champion already"):
        promotion.promote(client, "digits", "champion", "by hand")
    assert len(promotion.journal(client, "digits")) == 1


def test_a_version_that_is_not_there_is_not_promoted(client: MlflowClient) -> None:
    with pytest.raises(UsageError, match="digits has no version or alias '9'"):
        promotion.promote(client, "digits", "9", "by hand")
    assert champion(client) is None
    assert promotion.journal(client, "digits") == []


def test_a_challenger_that_is_promoted_is_challenger_no_more(client: MlflowClient) -> None:
    promotion.promote(client, "digits", "1", "the first")
    promotion.keep_challenger(client, "digits", "2")
    promotion.promote(client, "digits", "challenger", "a person knows better")
    assert champion(client) == "2"
    assert by_alias(client, "digits", "challenger") is None


def test_a_rollback_brings_back_what_was_replaced_and_a_second_one_what_was_before(
    client: MlflowClient,
) -> None:
    for number in ("1", "2", "3"):
        promotion.promote(client, "digits", number, "better")
    assert promotion.rollback(client, "digits").version == "2"
    entry = promotion.rollback(client, "digits")
    assert (entry.action, entry.version, entry.previous) == ("rollback", "1", "2")
    assert champion(client) == "1"
    with pytest.raises(UsageError, match="digits has no earlier champion to go back to"):
        promotion.rollback(client, "digits")
    assert champion(client) == "1"


def test_a_version_that_was_rolled_back_can_be_promoted_again(client: MlflowClient) -> None:
    for number in ("1", "2"):
        promotion.promote(client, "digits", number, "better")
    promotion.rollback(client, "digits")
    promotion.promote(client, "digits", "2", "it was innocent")
    assert promotion.rollback(client, "digits").version == "1"


def test_a_rollback_without_a_champion_is_refused(client: MlflowClient) -> None:
    with pytest.raises(UsageError, match="no earlier champion"):
        promotion.rollback(client, "digits")


def test_the_journal_of_an_unknown_model_is_refused(client: MlflowClient) -> None:
    with pytest.raises(UsageError, match="unknown registered model 'letters'"):
        promotion.journal(client, "letters")


def test_settling_twice_changes_nothing_more(client: MlflowClient) -> None:
    entry = promotion.promote(client, "digits", "1", "the first")
    write(client, "digits", replace(entry, state="intent"))
    for _ in range(2):
        promotion.settle(client, "digits")
        assert promotion.journal(client, "digits") == [entry]


def test_a_change_by_hand_is_noticed_and_written_down_once(client: MlflowClient) -> None:
    first = promotion.promote(client, "digits", "1", "the first")
    client.set_registered_model_alias("digits", "champion", "3")  # as MLflow's UI does
    for _ in range(2):
        promotion.settle(client, "digits")
    _, noticed = promotion.journal(client, "digits")
    assert (noticed.action, noticed.version, noticed.previous) == ("noticed", "3", "1")
    assert (noticed.by, noticed.since, noticed.state) == ("unknown", first.at, "done")
    assert "the alias was set to version 3" in noticed.reason
    assert promotion.rollback(client, "digits").version == "1"


def test_an_alias_that_somebody_took_away_is_noticed_and_can_be_brought_back(
    client: MlflowClient,
) -> None:
    promotion.promote(client, "digits", "2", "the first")
    client.delete_registered_model_alias("digits", "champion")
    promotion.settle(client, "digits")
    noticed = promotion.journal(client, "digits")[-1]
    assert (noticed.version, noticed.previous) == (None, "2")
    assert "the alias was taken away" in noticed.reason
    assert promotion.rollback(client, "digits").version == "2"
    assert champion(client) == "2"


def test_an_alias_from_before_the_journal_is_noticed(client: MlflowClient) -> None:
    client.set_registered_model_alias("digits", "champion", "1")
    entry = promotion.promote(client, "digits", "2", "better")
    assert (entry.sequence, entry.previous) == (2, "1")


def test_nobody_is_rolled_back_to_a_version_that_was_deleted(client: MlflowClient) -> None:
    for number in ("1", "2"):
        promotion.promote(client, "digits", number, "better")
    client.delete_model_version("digits", "1")
    with pytest.raises(UsageError, match="digits has no version or alias '1'"):
        promotion.rollback(client, "digits")
    assert champion(client) == "2"
    assert [entry.state for entry in promotion.journal(client, "digits")] == ["done", "done"]


def test_whoever_decided_against_another_champion_is_told_and_changes_nothing(
    client: MlflowClient,
) -> None:
    promotion.promote(client, "digits", "2", "quicker")
    with pytest.raises(ConvoyError, match=r"version 2 became champion meanwhile .*quicker"):
        promotion.promote(client, "digits", "1", "the first", instead_of=None)
    assert champion(client) == "2"
    assert len(promotion.journal(client, "digits")) == 1


def test_a_reason_that_is_longer_than_a_tag_is_cut(client: MlflowClient) -> None:
    promotion.promote(client, "digits", "1", "so " * 5000)
    (entry,) = promotion.journal(client, "digits")
    assert len(entry.reason) == 4000 and entry.reason.endswith("…")


def entry_at(sequence: int, version: str, at: str) -> Entry:
    return Entry(sequence, "promote", version, None, "better", "somebody", at, "done")


HISTORY = [
    entry_at(1, "1", "2026-03-01T12:00:00+00:00"),
    replace(entry_at(2, "2", "2026-03-05T08:00:00+00:00"), state="cancelled"),
    entry_at(3, "3", "2026-03-07T20:00:00+00:00"),
]


@pytest.mark.parametrize(
    ("date", "served"),
    [
        ("2026-02-28", []),
        ("2026-03-01", ["1"]),
        ("2026-03-01T11:59:00", []),
        ("2026-03-05", ["1"]),
        ("2026-03-07", ["1", "3"]),
        ("2026-03-07T22:30:00+02:00", ["3"]),
        ("2026-03-07T21:30:00+02:00", ["1"]),
        ("2026-03-20", ["3"]),
    ],
)
def test_history_says_what_served_on_a_day_or_at_an_instant(date: str, served: list[str]) -> None:
    assert [service.version for service in served_at(HISTORY, date)] == served


def test_a_service_ends_where_the_next_begins() -> None:
    one, three = services(HISTORY)
    assert (one.begin, one.end) == (HISTORY[0].at, HISTORY[2].at)
    assert three.end is None


@pytest.mark.parametrize(
    ("date", "words"),
    [("yesterday", "'yesterday' is no date"), ("2999-01-01", "has not come yet")],
)
def test_a_date_that_is_none_or_has_not_come_is_refused(date: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        served_at(HISTORY, date)


# Ends itself with SIGKILL before its n-th write to the registry, in the midst of a promotion.
KILLED = """
import os, signal, sys
from mlflow import MlflowClient
from convoy import promotion

class Client(MlflowClient):
    left = int(sys.argv[2])

def dying(name):
    write = getattr(MlflowClient, name)
    def write_or_die(self, *arguments):
        if Client.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        Client.left -= 1
        return write(self, *arguments)
    return write_or_die

writes = (
    "set_registered_model_tag", "set_registered_model_alias", "delete_registered_model_alias"
)
for name in writes:
    setattr(Client, name, dying(name))
promotion.promote(Client(sys.argv[1], sys.argv[1]), "digits", "2", "better")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("writes", "serves", "state"),
    [
        pytest.param(0, "1", None, marks=pytest.mark.soak, id="before the intent"),
        pytest.param(1, "1", "cancelled", id="between intent and alias move"),
        pytest.param(2, "2", "done", id="between alias move and the challenger's end"),
        pytest.param(3, "2", "done", marks=pytest.mark.soak, id="between alias move and done"),
    ],
)
def test_a_promotion_killed_at_any_write_is_settled(
    client: MlflowClient, repository: Path, writes: int, serves: str, state: str | None
) -> None:
    promotion.promote(client, "digits", "1", "the first")
    promotion.keep_challenger(client, "digits", "2")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, client.tracking_uri, str(writes)],
        env=environment(repository, {"MLFLOW_LOGGING_LEVEL": "WARNING"}),
        timeout=60,
        check=False,
    )
    assert done.returncode == -9
    promotion.settle(client, "digits")
    assert champion(client) == serves
    states = [entry.state for entry in promotion.journal(client, "digits")]
    assert states == (["done"] if state is None else ["done", state])
    aliases = client.get_registered_model("digits").aliases
    found = {alias: str(version) for alias, version in aliases.items()}
    assert found == ({"champion": "2"} if serves == "2" else {"champion": "1", "challenger": "2"})
    # And what was cut off can be done now.
    if serves == "1":
        assert promotion.promote(client, "digits", "2", "again").state == "done"
    assert promotion.rollback(client, "digits").version == "1"
