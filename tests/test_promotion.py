"""A journal that a kill at any moment leaves readable."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from convoy import promotion
from convoy.errors import UsageError
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
    promotion._write(client, "digits", replace(entry, state="intent"))
    for _ in range(2):
        promotion.settle(client, "digits")
        assert promotion.journal(client, "digits") == [entry]


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
        pytest.param(0, "1", None, id="before the intent"),
        pytest.param(1, "1", "cancelled", id="between intent and alias move"),
        pytest.param(2, "2", "done", id="between alias move and the challenger's end"),
        pytest.param(3, "2", "done", id="between alias move and done"),
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
