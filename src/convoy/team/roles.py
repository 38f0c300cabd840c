"""The three roles of a team in MLflow's authentication app, and what each may do there.

MLflow's own grants cannot keep apart who registers a version from who moves an alias (both are
EDIT of the registered model), and let everybody who has a password create experiments. So the
grants say what each role sees and changes, and `allowed` says which requests take more than that;
`convoy.team.authorization` asks it on the server.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

VIEWER, MEMBER, PROMOTER = ROLES = ("viewer", "member", "promoter")

GRANTS: dict[str, dict[str, str]] = {
    VIEWER: {"experiment": "READ", "registered_model": "READ"},
    MEMBER: {"experiment": "EDIT", "registered_model": "EDIT"},
    PROMOTER: {"experiment": "EDIT", "registered_model": "MANAGE"},
}
"""Of each role, its permission by type of resource, for all of that type."""

MEANING = {
    VIEWER: "looks at runs and models",
    MEMBER: "runs pipelines, and registers versions",
    PROMOTER: "runs pipelines, and decides what serves",
}

SEALED = "convoy.manifest"
"""The tag of a version by which its files are known; it comes with the version."""
FENCE = ".promotion-"
"""In the name of a registered model that a promotion holds (`convoy.claims`)."""

_READS = {"GET", "HEAD", "OPTIONS"}
_ASKS = re.compile(r"/(search|search-datasets|get-history-bulk-interval|graphql|ui-telemetry)$")
"""Requests that ask in the form of a POST."""
_OWN_PASSWORD = re.compile(r"/mlflow/users/update-password$")
_DECIDES = re.compile(
    r"/mlflow/(registered-models/(rename|update|delete|alias|set-tag|delete-tag)"
    r"|model-versions/(delete|delete-tag|transition-stage)"
    r"|experiments/delete)$"
)
"""What changes which version serves, or what the journal says of it."""
_TAGS_VERSION = re.compile(r"/mlflow/model-versions/set-tag$")
_CREATES_MODEL = re.compile(r"/mlflow/registered-models/create$")
_UNUSED = re.compile(
    r"^/((ajax-)?api/\d\.\d/(mlflow/)?)?"
    r"(scorers?|gateway(-proxy)?|mcp-servers?|webhooks|jobs|issues|genai|assistant)(/|$)"
)
"""What MLflow has for language models, and what has it call other servers: Convoy uses none."""


def allowed(method: str, path: str, body: Mapping[str, Any], roles: Collection[str]) -> bool:
    """Tell whether somebody with these roles may make a request, if MLflow's grants allow it too.

    `body` is what the request says, empty where that cannot be read. Without any role there is
    nothing but reading.
    """
    if _UNUSED.search(path):
        return False
    asks = method in _READS or (method == "POST" and _ASKS.search(path))
    if asks or _OWN_PASSWORD.search(path):
        return True
    if _DECIDES.search(path):
        return PROMOTER in roles
    if _TAGS_VERSION.search(path) and body.get("key") in (None, SEALED):
        return PROMOTER in roles
    # A member's fence would keep promoters out, and nobody but those could take it away.
    if _CREATES_MODEL.search(path) and FENCE in str(body.get("name")):
        return PROMOTER in roles
    return MEMBER in roles or PROMOTER in roles
