"""What the gate said is done once, and only about the champion that it looked at."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from convoy import approval, promotion, registry
from convoy.client import Client
from convoy.errors import ConvoyError
from convoy.gate import Verdict
from convoy.pipeline.release import Registration, judge, settle_verdict
from convoy.pipeline.session import Session
from convoy.plan import make_plan
from convoy.project import Project
from tests.judged import against
from tests.stores import add_versions, new_store

ALLOWED = Verdict(True, ["better"])


@pytest.fixture
def work(
    repository: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """A session on a store with three versions of `digits`, the first one champion."""
    _, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    add_versions(client, "digits", 3)
    promotion.promote(client, "digits", "1", "for a start")
    return session_of(client, repository)


def session_of(client: MlflowClient, repository: Path, *overrides: str) -> Session:
    session = Session(make_plan(Project(repository), overrides=overrides), "a flow run")
    session.client = Client(client.tracking_uri)
    return session


def compared(version: str, champion: str) -> Registration:
    return Registration(version, champion, against(12, 1).to_json())


def champion(work: Session) -> str:
    found = registry.by_alias(work.client, "digits", registry.CHAMPION)
    assert found
    return found.version


def test_what_the_gate_allowed_becomes_champion(work: Session) -> None:
    assert settle_verdict(work, compared("2", "1"), ALLOWED) == "champion"
    assert champion(work) == "2"
    assert registry.version(work.client, "digits", "2").verdict["allowed"] is True


def test_what_it_refused_becomes_challenger_and_keeps_its_reasons(work: Session) -> None:
    verdict = Verdict(False, ["worse"])
    assert settle_verdict(work, compared("2", "1"), verdict) == "challenger"
    assert champion(work) == "1"
    refused = registry.version(work.client, "digits", "challenger")
    assert refused.version == "2"
    assert (refused.verdict["allowed"], refused.verdict["reasons"]) == (False, ["worse"])


def test_a_second_try_of_the_same_promotion_changes_nothing(work: Session) -> None:
    settle_verdict(work, compared("2", "1"), ALLOWED)
    before = promotion.journal(work.client, "digits")
    assert settle_verdict(work, compared("2", "1"), ALLOWED) == "champion"
    assert promotion.journal(work.client, "digits") == before


def test_a_champion_that_changed_since_the_comparison_is_not_replaced(work: Session) -> None:
    promotion.promote(work.client, "digits", "3", "by hand, meanwhile")
    with pytest.raises(ConvoyError, match=r"version 3 became champion while version 2 was"):
        settle_verdict(work, compared("2", "1"), ALLOWED)
    assert champion(work) == "3"


def test_a_version_that_a_person_rolled_back_is_not_promoted_by_a_run(work: Session) -> None:
    settle_verdict(work, compared("2", "1"), ALLOWED)
    promotion.rollback(work.client, "digits")
    verdict = judge(work, compared("2", "1"))
    assert not verdict.allowed
    assert verdict.reasons[0].startswith("version 2 was rolled back on ")
    promotion.promote(work.client, "digits", "2", "looked at again")
    promotion.promote(work.client, "digits", "1", "and again")
    assert "rolled back" not in judge(work, compared("2", "1")).reasons[0]


def test_what_the_gate_allowed_waits_for_a_person_where_the_settings_say_so(
    work: Session, repository: Path
) -> None:
    asking = session_of(work.client, repository, "gate.require_approval=true")
    for _ in range(2):
        assert settle_verdict(asking, compared("2", "1"), ALLOWED) == "challenger"
        assert champion(work) == "1"
        waiting = registry.version(work.client, "digits", "challenger")
        said = approval.of(waiting)
        assert waiting.version == "2" and said and said.state == "waiting"


def test_what_a_person_declined_is_not_asked_for_again(work: Session) -> None:
    chosen = registry.version(work.client, "digits", "2")
    approval.decide(work.client, chosen, False, "looks at shadows", "Ada")
    verdict = judge(work, compared("2", "1"))
    assert not verdict.allowed
    assert verdict.reasons[0].startswith("Ada declined version 2 on ")
    assert "(looks at shadows)" in verdict.reasons[0]


def test_a_run_of_a_version_that_serves_already_changes_nothing(work: Session) -> None:
    verdict = judge(work, Registration("1", "1", None))
    assert verdict.reasons == ["version 1 is the champion already"]
    assert settle_verdict(work, Registration("1", "1", None), verdict) == "champion"
