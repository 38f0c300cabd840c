"""Who may ask what of a team's MLflow server, as the server's hook decides it."""

import pytest

from convoy.team.roles import GRANTS, MEMBER, PROMOTER, ROLES, SEALED, VIEWER, allowed

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
    granted = [request for request in asked if allowed(*request, None, roles)]
    assert granted == MAY[role]


def test_a_verdict_is_a_members_tag_and_the_manifest_nobodys_but_the_promoters() -> None:
    request = ("POST", f"{API}/model-versions/set-tag")
    assert allowed(*request, "convoy.verdict", [MEMBER])
    for key in (SEALED, None):
        assert not allowed(*request, key, [MEMBER])
        assert allowed(*request, key, [PROMOTER])
    assert not allowed(*request, "convoy.verdict", [VIEWER])


def test_nobody_reaches_what_convoy_has_no_use_for() -> None:
    assert not any(allowed(*request, None, ROLES) for request in UNUSED)


def test_the_manifest_is_the_tag_that_versions_are_held_to() -> None:
    from convoy.registry import MANIFEST

    assert SEALED == MANIFEST
    assert set(GRANTS) == set(ROLES)
