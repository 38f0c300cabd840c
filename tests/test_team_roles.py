"""Who may ask what of a team's MLflow server, as the server's hook decides it."""

import pytest

from convoy.team.roles import FENCE, GRANTS, MEMBER, PROMOTER, ROLES, SEALED, VIEWER, allowed

API = "/api/2.0/mlflow"

READING = [
    ("GET", f"{API}/runs/get"),
    ("POST", f"{API}/runs/search"),
    ("GET", "/get-artifact"),
    ("GET", "/ajax-api/2.0/mlflow/registered-models/alias"),
    ("POST", "/graphql"),
    ("PATCH", f"{API}/users/update-password"),
]
RUNNING = [
    ("POST", f"{API}/experiments/create"),
    ("POST", f"{API}/runs/create"),
    ("POST", f"{API}/runs/log-batch"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/search"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/gateway/x"),
    ("POST", f"{API}/registered-models/create"),
    ("POST", f"{API}/model-versions/create"),
    ("PATCH", f"{API}/model-versions/update"),
]
DECIDING = [
    (method, f"{root}/mlflow/{what}")
    for root in ("/api/2.0", "/ajax-api/2.0")
    for method, what in (
        ("POST", "registered-models/alias"),
        ("DELETE", "registered-models/alias"),
        ("POST", "registered-models/set-tag"),
        ("DELETE", "registered-models/delete-tag"),
        ("POST", "registered-models/rename"),
        ("PATCH", "registered-models/update"),
        ("DELETE", "registered-models/delete"),
        ("DELETE", "model-versions/delete"),
        ("DELETE", "model-versions/delete-tag"),
        ("POST", "model-versions/transition-stage"),
        ("POST", "experiments/delete"),
    )
]
UNUSED = [
    ("POST", "/ajax-api/3.0/mlflow/scorer/invoke"),
    ("POST", "/api/3.0/mlflow/scorers/register"),
    ("GET", "/api/3.0/mlflow/scorers/list"),
    ("POST", "/gateway/mlflow/v1/chat/completions"),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("POST", "/api/2.0/mlflow/webhooks"),
    ("POST", "/ajax-api/3.0/jobs/search"),
]
MAY = {
    VIEWER: READING,
    MEMBER: READING + RUNNING,
    PROMOTER: READING + RUNNING + DECIDING,
    "": READING,
}


@pytest.mark.parametrize("role", MAY)
def test_each_role_may_do_what_it_is_for_and_nothing_else(role: str) -> None:
    roles = [role] if role else []
    asked = READING + RUNNING + DECIDING + UNUSED
    granted = [request for request in asked if allowed(*request, {}, roles)]
    assert granted == MAY[role]


def test_a_verdict_is_a_members_tag_and_the_manifest_nobodys_but_the_promoters() -> None:
    request = ("POST", f"{API}/model-versions/set-tag")
    assert allowed(*request, {"key": "convoy.verdict"}, [MEMBER])
    for body in ({"key": SEALED}, {}):
        assert not allowed(*request, body, [MEMBER])
        assert allowed(*request, body, [PROMOTER])
    assert not allowed(*request, {"key": "convoy.verdict"}, [VIEWER])


def test_a_fence_is_raised_by_those_alone_who_may_take_it_away() -> None:
    request = ("POST", f"{API}/registered-models/create")
    assert allowed(*request, {"name": "digits"}, [MEMBER])
    assert not allowed(*request, {"name": f"digits{FENCE}000007"}, [MEMBER])
    assert allowed(*request, {"name": f"digits{FENCE}000007"}, [PROMOTER])


def test_nobody_reaches_what_convoy_has_no_use_for() -> None:
    assert not any(allowed(*request, {}, ROLES) for request in UNUSED)


def test_the_names_are_those_of_the_registry() -> None:
    from convoy.claims import MARK
    from convoy.registry import MANIFEST

    assert (SEALED, FENCE) == (MANIFEST, MARK)
    assert set(GRANTS) == set(ROLES)
