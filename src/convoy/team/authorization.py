"""What MLflow's server asks of each request: `authorization_function` in `mlflow/basic_auth.ini`.

MLflow's authentication app names this hook for other ways of logging in. Here a user logs in as
ever, by name and password, and is then refused what their role does not have
(`convoy.team.roles`), before MLflow looks at its own grants. An administrator is refused only what
Convoy has no use for. The server needs this package; clients do not.
"""

from flask import Response, g, request
from mlflow.server.auth import (
    authenticate_request_basic_auth,
    make_forbidden_response,
    store,
)
from werkzeug.datastructures import Authorization

from convoy.team.roles import ROLES, allowed


def authenticate() -> Authorization | Response:
    """Return who asks, or the answer that refuses them: 401 without a password, else 403."""
    found: Authorization | Response = authenticate_request_basic_auth()
    if isinstance(found, Response):
        return found
    # MLflow asks several times a request.
    if "convoy_allowed" not in g:
        g.convoy_allowed = _is_allowed(str(found.username))
    return found if g.convoy_allowed else make_forbidden_response()


def _is_allowed(name: str) -> bool:
    user = store.get_user(name)
    roles = ROLES if user.is_admin else [role.name for role in store.list_user_roles(user.id)]
    body = request.get_json(force=True, silent=True) if request.data else None
    said = body if isinstance(body, dict) else {}
    return allowed(request.method, request.path, said, roles)
