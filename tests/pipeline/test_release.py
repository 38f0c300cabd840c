"""What the gate said is done once, and only about the champion that it looked at."""

from pathlib import Path

import pytest

from convoy import promotion, registry
from convoy.errors import ConvoyError
from convoy.gate import Verdict
from convoy.pipeline.release import Registration, judge, settle_verdict
from convoy.pipeline.session import Session
from convoy.plan import make_plan
from convoy.project import Project
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
    session = Session(make_plan(Project(repository)), "a flow run")
    session.client = client
    return session


def compared(version: str, champion: str) -> Registration:
    return Registration(version, 0.99, champion, [True], [False])


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
    assert refused.verdict == {"allowed": False, "reasons": ["worse"]}


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
